import type { AlarmSubject, Capability } from './alarms.ts';
import { dimensionOf, type MetricName, metricNamespace } from './metrics.ts';

/**
 * Dashboards of CloudWatch, one for each database and one for the fleet: panels in rows, from which the construct makes
 * its body and the test knows which metrics must have come.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
 */

export interface Line {
  readonly metric: MetricName;
  readonly label: string;
  readonly stat: 'Maximum' | 'Minimum' | 'Average' | 'SampleCount' | 'Sum';
  /** Seconds. */
  readonly period: number;
  /** Values of another size than those beside it have an axis of their own. */
  readonly axis?: 'right';
}

export interface Panel {
  readonly title: string;
  /** A line of numbers, or a graph over time. */
  readonly view: 'number' | 'graph';
  readonly lines: readonly Line[];
  /** A target, drawn across. */
  readonly limit?: { readonly label: string; readonly value: number };
  readonly needs: Capability;
}

const day = 86_400;
const line = (metric: MetricName, label: string, stat: Line['stat'] = 'Maximum', period: number = 300): Line => ({
  metric,
  label,
  stat,
  period,
});

/** The panels of one database; those of what is not configured are left out, so that none is empty. */
export function panelsFor(subject: AlarmSubject, capabilities: ReadonlySet<Capability>): Panel[] {
  const { rpoSeconds, rtoSeconds } = subject.objectives;
  const all: Panel[] = [
    {
      title: 'Time since the last backup',
      view: 'number',
      needs: 'backups',
      lines: [line('BackupAgeSeconds', 'seconds')],
    },
    {
      title: 'Latest size, and the mean of 7 days',
      view: 'number',
      needs: 'backups',
      lines: [line('BackupBytes', 'latest', 'Maximum', day), line('BackupBytes', 'mean of 7 days', 'Average', 7 * day)],
    },
    {
      title: 'Success rate of 30 days, 1 is all',
      view: 'number',
      needs: 'backups',
      lines: [
        line('BackupSucceeded', 'backups', 'Average', 30 * day),
        line('RestoreTestSucceeded', 'restore tests', 'Average', 30 * day),
      ],
    },
    { title: 'Storage used', view: 'number', needs: 'backups', lines: [line('StoredBytes', 'bytes of 35 days')] },
    { title: 'Age of the newest backup', view: 'graph', needs: 'backups', lines: [line('BackupAgeSeconds', 'age')] },
    {
      title: 'Size of backups',
      view: 'graph',
      needs: 'backups',
      lines: [
        line('BackupBytes', 'size', 'Maximum', 3600),
        { ...line('StoredBytes', 'all of 35 days', 'Maximum', 3600), axis: 'right' },
      ],
    },
    {
      title: 'Upload time and duration',
      view: 'graph',
      needs: 'backups',
      lines: [
        line('UploadSeconds', 'upload', 'Maximum', 3600),
        line('BackupDurationSeconds', 'execution', 'Maximum', 3600),
      ],
    },
    {
      title: 'Job history: 1 done, 0 failed',
      view: 'graph',
      needs: 'backups',
      lines: [
        line('BackupSucceeded', 'backup', 'Minimum', 3600),
        line('RestoreTestSucceeded', 'restore test', 'Minimum', 3600),
      ],
    },
    {
      title: 'RTO measured',
      view: 'graph',
      needs: 'backups',
      lines: [line('MeasuredRtoSeconds', 'RTO', 'Maximum', 3600)],
      limit: { label: 'objective', value: rtoSeconds },
    },
    {
      title: 'RPO measured',
      view: 'graph',
      needs: 'backups',
      lines: [line('MeasuredRpoSeconds', 'RPO', 'Maximum', 3600)],
      limit: { label: 'objective', value: rpoSeconds },
    },
    {
      title: 'Restore tests: level of proof, and time',
      view: 'graph',
      needs: 'backups',
      lines: [
        { ...line('ProofLevel', 'level', 'Minimum', 3600), axis: 'right' },
        line('RestoreTestSeconds', 'seconds', 'Maximum', 3600),
      ],
    },
    {
      title: 'Time since the last restore test that held',
      view: 'graph',
      needs: 'backups',
      lines: [line('RestoreTestAgeSeconds', 'age', 'Maximum', 3600)],
    },
    {
      title: 'Recoverable window',
      view: 'graph',
      needs: 'backups',
      lines: [line('RecoverableWindowSeconds', 'window', 'Maximum', 3600)],
    },
    {
      title: 'Copy in the other region',
      view: 'graph',
      needs: 'replication',
      lines: [line('RegionalCopyLagSeconds', 'lag')],
      limit: { label: 'alarm', value: 900 },
    },
    {
      title: 'WAL lag',
      view: 'graph',
      needs: 'wal',
      lines: [line('WalLagSeconds', 'seconds', 'Maximum', 60)],
      limit: { label: 'alarm', value: 900 },
    },
    {
      title: 'WAL that the server keeps for the receiver',
      view: 'graph',
      needs: 'wal',
      lines: [line('WalRetainedBytes', 'bytes', 'Maximum', 60)],
    },
    {
      title: 'Slot: 1 healthy, 0 not; findings of the audit of WAL',
      view: 'graph',
      needs: 'wal',
      lines: [line('WalSlotHealthy', 'slot', 'Minimum', 60), line('WalGaps', 'findings', 'Maximum', 3600)],
    },
    {
      title: 'Replication lag',
      view: 'graph',
      needs: 'standby',
      lines: [
        line('ReplicationLagSeconds', 'seconds', 'Maximum', 60),
        line('HeartbeatAgeSeconds', 'heartbeat', 'Maximum', 60),
      ],
    },
    {
      title: 'Primary: 1 up, 0 down',
      view: 'graph',
      needs: 'standby',
      lines: [line('PrimaryUp', 'up', 'Minimum', 60)],
    },
  ];
  return all.filter(({ needs }) => capabilities.has(needs));
}

/** Metrics that the fleet's dashboard shows for every database that has them. */
export const fleetLines: readonly (Line & { readonly title: string })[] = [
  { title: 'Age of the newest backup', ...line('BackupAgeSeconds', '') },
  { title: 'Time since the last restore test that held', ...line('RestoreTestAgeSeconds', '') },
  { title: 'Backups: 1 done, 0 failed', ...line('BackupSucceeded', '', 'Minimum', 3600) },
  { title: 'Restore tests: 1 held, 0 failed', ...line('RestoreTestSucceeded', '', 'Minimum', 3600) },
  { title: 'RTO measured', ...line('MeasuredRtoSeconds', '', 'Maximum', 3600) },
  { title: 'RPO measured', ...line('MeasuredRpoSeconds', '', 'Maximum', 3600) },
  { title: 'Storage of 35 days', ...line('StoredBytes', '', 'Maximum', 3600) },
  { title: 'Size against the mean of 7 days, percent', ...line('BackupSizeDeviationPercent', '') },
];

type Widget = Record<string, unknown>;

/** Numbers are four in a row, graphs two; 24 columns. */
export function databaseDashboard(
  database: string,
  region: string,
  panels: readonly Panel[],
  alarmArns: readonly string[],
): { readonly widgets: readonly Widget[] } {
  const head = 2 + Math.ceil(alarmArns.length / 8);
  const numbers = panels.filter(({ view }) => view === 'number');
  const graphs = panels.filter(({ view }) => view === 'graph');
  return {
    widgets: [
      {
        type: 'alarm',
        x: 0,
        y: 0,
        width: 24,
        height: head,
        properties: { title: `${database}: alarms`, alarms: alarmArns },
      },
      ...numbers.map((panel, i) => metricWidget(panel, database, region, { x: i * 6, y: head, width: 6, height: 4 })),
      ...graphs.map((panel, i) =>
        metricWidget(panel, database, region, {
          x: (i % 2) * 12,
          y: head + 4 + Math.floor(i / 2) * 6,
          width: 12,
          height: 6,
        }),
      ),
    ],
  };
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function metricWidget({ title, view, lines, limit }: Panel, database: string, region: string, place: Place): Widget {
  return {
    type: 'metric',
    ...place,
    properties: {
      title,
      region,
      view: view === 'number' ? 'singleValue' : 'timeSeries',
      // Numbers over the whole of their period, whatever time is looked at.
      ...(view === 'number'
        ? { setPeriodToTimeRange: false, sparkline: false }
        : { yAxis: { left: { min: 0 }, ...(lines.some(({ axis }) => axis) && { right: { min: 0 } }) } }),
      metrics: lines.map(({ metric, label, stat, period, axis }) => [
        metricNamespace,
        metric,
        dimensionOf(metric),
        database,
        { label, stat, period, ...(axis && { yAxis: axis }) },
      ]),
      ...(limit && { annotations: { horizontal: [limit] } }),
    },
  };
}

/** Every database by itself: a search finds those that are there, so that the platform knows none of them. */
export const fleetDashboard = (system: string, region: string, alarmArns: readonly string[]) => ({
  widgets: [
    {
      type: 'alarm',
      x: 0,
      y: 0,
      width: 24,
      height: 3,
      properties: { title: `pgdr of ${system} in ${region}`, alarms: alarmArns },
    },
    ...fleetLines.map(({ title, metric, stat, period }, i) => ({
      type: 'metric',
      x: (i % 2) * 12,
      y: 3 + Math.floor(i / 2) * 6,
      width: 12,
      height: 6,
      properties: {
        title,
        region,
        view: 'timeSeries',
        yAxis: { left: { min: 0 } },
        metrics: [
          [
            {
              expression: `SEARCH('{${metricNamespace},Database} MetricName="${metric}"', '${stat}', ${period})`,
              id: 'e1',
              // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudWatch puts the dimension's value here
              label: "${PROP('Dim.Database')}",
            },
          ],
        ],
      },
    })),
  ],
});
