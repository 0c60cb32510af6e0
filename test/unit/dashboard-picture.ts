import { databaseDashboard, panelsFor } from '../../lib/core/dashboard.ts';
import { humanBytes, humanSeconds } from '../../lib/core/human.ts';
import { type MetricName, metricCatalogue } from '../../lib/core/metrics.ts';

/**
 * The dashboard of a database as a drawing, from the body that is deployed: its widgets in their places, with two made-up
 * weeks of values. CloudWatch draws it more finely.
 */

const days = 14;
const steps = days * 8;
const [column, row, gap] = [40, 34, 6] as const;
const colours = ['#1f6fb5', '#e07b00', '#2f8f4e', '#8a4fbf'];

type Values = (day: number) => number;
const gigabyte = 1e9;
const weekly =
  (value: number): Values =>
  (day) =>
    value * (1 + Math.floor(day / 7) * 0.06);

/** What a database of some 90 GB might show; a metric that is missing here fails the picture. */
const values: Partial<Record<MetricName, Values>> = {
  BackupAgeSeconds: (day) => (day % 1) * 86_400,
  BackupBytes: (day) => (28 + Math.floor(day) * 0.15) * gigabyte,
  StoredBytes: (day) => (700 + Math.floor(day) * 6) * gigabyte,
  BackupSucceeded: (day) => (Math.floor(day) === 8 ? 0 : 1),
  BackupDurationSeconds: (day) => 860 + Math.floor(day) * 9,
  UploadSeconds: (day) => 610 + Math.floor(day) * 7,
  RecoverableWindowSeconds: (day) => (7 + (day % 1)) * 86_400,
  RestoreTestSucceeded: () => 1,
  RestoreTestSeconds: weekly(1500),
  RestoreTestAgeSeconds: (day) => (day % 7) * 86_400,
  ProofLevel: () => 5,
  MeasuredRtoSeconds: weekly(1380),
  MeasuredRpoSeconds: () => 9,
  RegionalCopyLagSeconds: (day) => (day % 1 < 0.125 ? 40 : 0),
  WalLagSeconds: (day) => 4 + 2 * Math.sin(day * 9),
  WalGaps: () => 0,
  WalRetainedBytes: (day) => (24 + 8 * Math.sin(day * 5)) * 1e6,
  WalSlotHealthy: () => 1,
  HeartbeatAgeSeconds: () => 1,
  ReplicationLagSeconds: (day) => 1 + Math.abs(Math.sin(day * 7)) * 2,
  ReplicationLagBytes: (day) => Math.abs(Math.sin(day * 7)) * 2e6,
  PrimaryUp: () => 1,
};

const valuesOf = (metric: MetricName): number[] => {
  const at = values[metric];
  if (!at) throw new Error(`the picture of the dashboard has no values for ${metric}`);
  return Array.from({ length: steps }, (_, i) => at((i * days) / steps));
};

const format = (metric: MetricName, value: number): string => {
  const { unit } = metricCatalogue[metric];
  if (unit === 'Seconds') return humanSeconds(value);
  return unit === 'Bytes' ? humanBytes(Math.round(value)) : value.toLocaleString('en', { maximumFractionDigits: 2 });
};

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const text = (x: number, y: number, said: string, more = '') =>
  `<text x="${x}" y="${y}" ${more}>${escaped(said)}</text>`;

type Line = readonly [string, MetricName, string, string, { readonly label: string; readonly yAxis?: 'right' }];

interface Properties {
  readonly title: string;
  readonly view?: string;
  readonly alarms?: readonly string[];
  readonly metrics?: readonly Line[];
  readonly annotations?: { readonly horizontal: readonly { readonly label: string; readonly value: number }[] };
}

interface Widget {
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly properties: Properties;
}

function alarms({ alarms = [] }: Properties, width: number): string {
  return alarms
    .map((name, i) => {
      const [x, y] = [12 + (i % 5) * ((width - 24) / 5), 32 + Math.floor(i / 5) * 17];
      return `<circle cx="${x + 4}" cy="${y - 4}" r="4" fill="#2f8f4e"/>${text(x + 13, y, name)}`;
    })
    .join('');
}

function numbers({ metrics = [] }: Properties): string {
  return metrics
    .map(([, metric, , , { label }], i) => {
      const shown = format(metric, valuesOf(metric).at(-1) as number);
      return `${text(12 + i * 116, 62, shown, 'font-size="19" font-weight="600"')}${text(12 + i * 116, 82, label, 'class="dim"')}`;
    })
    .join('');
}

function graph({ metrics: lines = [], annotations }: Properties, width: number, height: number): string {
  const series = lines.map(([, metric]) => valuesOf(metric));
  const limit = annotations?.horizontal[0];
  const onRight = lines.map(([, , , , { yAxis }]) => yAxis === 'right');
  const mostOf = (right: boolean) => Math.max(...series.filter((_, i) => onRight[i] === right).flat());
  const most = mostOf(false);
  const shows = limit !== undefined && limit.value <= most * 3;
  const scale = (Math.max(most, shows ? limit.value : 0) || 1) * 1.1;
  const [left, top, right, bottom] = [78, 34, width - 12, height - 30];
  const y = (value: number, of = scale) => bottom - (value / of) * (bottom - top);
  const rightScale = mostOf(true) * 1.1;
  const drawn = series.map((all, i) => {
    const points = all.map(
      (value, j) =>
        `${(left + (j / (steps - 1)) * (right - left)).toFixed(0)},${y(value, onRight[i] ? rightScale : scale).toFixed(0)}`,
    );
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colours[i]}" stroke-width="1.6"/>`;
  });
  const first = (lines.find((_, i) => !onRight[i]) as Line)[1];
  const ticks = [0, scale / 2, scale].map(
    (value) =>
      `<line x1="${left}" x2="${right}" y1="${y(value)}" y2="${y(value)}" stroke="#e3e6ea"/>${text(left - 6, y(value) + 4, format(first, value), 'text-anchor="end" class="dim"')}`,
  );
  const legend = lines.map(([, , , , { label }], i) =>
    text(
      left + i * 130,
      height - 9,
      `■ ${label}${onRight[i] ? `, right axis: ${format((lines[i] as Line)[1], mostOf(true))}` : ''}`,
      `style="fill:${colours[i]}"`,
    ),
  );
  const across = shows
    ? `<line x1="${left}" x2="${right}" y1="${y(limit.value)}" y2="${y(limit.value)}" stroke="#b3261e" stroke-dasharray="4 3"/>${text(right, y(limit.value) - 4, `${limit.label} ${format(first, limit.value)}`, 'text-anchor="end" style="fill:#b3261e"')}`
    : limit
      ? text(right, top - 2, `${limit.label} ${format(first, limit.value)}, far above`, 'text-anchor="end" class="dim"')
      : '';
  return [...ticks, ...drawn, across, ...legend].join('');
}

/** An SVG of the dashboard with every panel that there is. */
export function dashboardPicture(): string {
  const subject = {
    backupIntervalSeconds: 86_400,
    restoreTestIntervalSeconds: 7 * 86_400,
    objectives: { rpoSeconds: 300, rtoSeconds: 1800 },
  };
  const panels = panelsFor(subject, new Set(['backups', 'replication', 'wal', 'standby']));
  const names = ['no-daily-backup', 'restore-test-failed', 'restore-test-overdue', 'rto-regression', 'rpo-regression'];
  const more = ['regional-copy-lag', 'wal-gap', 'wal-lag', 'primary-down', 'replication-lag'];
  const { widgets } = databaseDashboard('orders', 'eu-north-1', panels, [...names, ...more]);
  const drawn = (widgets as unknown as Widget[]).map((widget) => {
    const { type, properties } = widget;
    const [width, height] = [widget.width * column - gap, widget.height * row - gap];
    const inner =
      type === 'alarm'
        ? alarms(properties, width)
        : properties.view === 'singleValue'
          ? numbers(properties)
          : graph(properties, width, height);
    return `<g transform="translate(${widget.x * column},${widget.y * row})"><rect width="${width}" height="${height}" rx="4" fill="#fff" stroke="#d5dae0"/>${text(12, 19, properties.title, 'font-weight="600"')}${inner}</g>`;
  });
  const rows = Math.max(...(widgets as unknown as Widget[]).map(({ y, height }) => y + height));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${24 * column} ${rows * row}" font-family="system-ui, sans-serif" font-size="11">
<title>The dashboard of a database: its alarms, and a panel for each thing that is measured</title>
<style>text{fill:#1d2733}.dim{fill:#5c6b7a}</style><rect width="100%" height="100%" fill="#f2f4f6"/>
${drawn.join('\n')}
</svg>
`;
}
