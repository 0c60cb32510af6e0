import { failoverCost, type WalSubject, walCost } from './cost-continuous.ts';
import { gib, month, n, startSeconds, type TaskSize, taskCost } from './cost-units.ts';
import type { Prices } from './prices.ts';

/** What a month costs, from the configuration and what was measured. An estimate: free tiers and discounts are left out. */

export interface CostSubject {
  readonly backupIntervalSeconds: number;
  readonly restoreTestIntervalSeconds: number;
  readonly backupTask: TaskSize;
  readonly restoreTask: TaskSize;
  /** How long daily backups are kept, and how long a version stays after its removal: as long as locks last. */
  readonly dailySeconds: number;
  readonly lockSeconds: number;
  /** How long the backup of each month is kept, in the class of the archive. */
  readonly monthlySeconds: number;
  readonly wal?: WalSubject;
  readonly failsOver: boolean;
  readonly replicated: boolean;
  readonly alarms: number;
  readonly compositeAlarms: number;
  readonly metrics: number;
}

/** Means of what was measured lately; undefined: nothing yet. */
export interface Measured {
  readonly backupBytes: number;
  /** What a backup adds to the store: unchanged tables refer to earlier objects. */
  readonly newBytes: number;
  readonly objects: number;
  readonly backupSeconds: number;
  readonly restoreTestSeconds: number;
  /** Of base backups and stored WAL, where there are any. */
  readonly baseBytes?: number;
  readonly baseSeconds?: number;
  readonly walBytesPerDay?: number;
}

export interface CostLine {
  readonly item: string;
  readonly detail: string;
  readonly usd: number;
}

/** Transitions of a machine from its start to its end, without retries. */
const transitions = { backup: 8, restoreTest: 5 };
/** A part of a multipart upload, and of the reading back. */
const partBytes = 16 * 1024 ** 2;
/** The posture's function: every 5 minutes, in both regions, 512 MiB for half a second; some 12 reads of S3. */
const posture = { runs: 2 * (month / 300), gbSeconds: 0.25, gets: 12 };

/** What an execution and its task write, and a look of the posture; measured in a rehearsal. */
const logBytes = { backup: 400_000, restoreTest: 300_000, posture: 3000 };

export function costOf(subject: CostSubject, measured: Measured, prices: Prices): CostLine[] {
  const backups = month / subject.backupIntervalSeconds;
  const tests = month / subject.restoreTestIntervalSeconds;
  const regions = subject.replicated ? 2 : 1;
  const keptSeconds = subject.dailySeconds + subject.lockSeconds;
  const keptBackups = Math.max(1, keptSeconds / subject.backupIntervalSeconds);
  const archived = Math.max(0, (subject.monthlySeconds - subject.dailySeconds) / month);
  const archivedGib = (archived * measured.backupBytes) / gib;
  const storedGib = (measured.backupBytes + (keptBackups - 1) * measured.newBytes) / gib;
  const newGib = (backups * measured.newBytes) / gib;
  const parts = measured.backupBytes / partBytes + measured.objects;
  const verifySeconds = measured.backupBytes / 50e6;
  const lambdaGbSeconds = backups * (verifySeconds * 1.73 + 2) + tests + posture.runs * posture.gbSeconds;
  const requests = backups * 6 + tests + posture.runs;
  const puts = backups * (measured.newBytes / partBytes + measured.objects + 3);
  const gets = backups * parts * 2 + tests * parts + posture.runs * posture.gets;
  const backupTask = backups * taskCost(subject.backupTask, measured.backupSeconds + startSeconds, prices);
  const restoreTask = tests * taskCost(subject.restoreTask, measured.restoreTestSeconds + startSeconds, prices);
  const { cloudwatch, s3, lambda } = prices;
  return [
    { item: 'Fargate, backups', detail: `${n(backups)} runs of ${n(measured.backupSeconds)} s`, usd: backupTask },
    {
      item: 'Fargate, restore tests',
      detail: `${n(tests)} runs of ${n(measured.restoreTestSeconds)} s`,
      usd: restoreTask,
    },
    {
      item: 'S3, storage',
      detail: `${n(storedGib)} GiB${regions > 1 ? ' in each of 2 regions' : ''}, kept ${n(subject.dailySeconds / 86_400)} days, and ${n(subject.lockSeconds / 86_400)} more by lock and lifecycle`,
      usd: storedGib * s3.gbMonth * regions,
    },
    {
      item: 'S3, archive',
      detail: `${n(archivedGib)} GiB once there are ${n(archived)} monthly backups`,
      usd: archivedGib * s3.archiveGbMonth * regions,
    },
    {
      item: 'S3, requests',
      detail: `${n(puts * regions)} writes, ${n(gets)} reads`,
      usd: ((puts * regions) / 1000) * s3.perThousandPuts + (gets / 1000) * s3.perThousandGets,
    },
    ...(subject.replicated
      ? [
          {
            item: 'Replication',
            detail: `${n(newGib)} GiB to the other region`,
            usd: newGib * (prices.replication.transferPerGb + prices.replication.timeControlPerGb),
          },
        ]
      : []),
    {
      item: 'Lambda',
      detail: `${n(requests)} calls, ${n(lambdaGbSeconds)} GB-seconds`,
      usd: lambdaGbSeconds * lambda.gbSecond + (requests / 1e6) * lambda.perMillionRequests,
    },
    {
      item: 'Step Functions',
      detail: `${n(backups * transitions.backup + tests * transitions.restoreTest)} transitions`,
      usd:
        ((backups * transitions.backup + tests * transitions.restoreTest) / 1000) *
        prices.stepFunctions.perThousandTransitions,
    },
    {
      item: 'CloudWatch',
      detail: `${subject.metrics} metrics, ${subject.alarms} alarms, ${subject.compositeAlarms} composites, 1 dashboard, each in 2 regions`,
      usd:
        2 *
        (subject.metrics * cloudwatch.metricMonth +
          subject.alarms * cloudwatch.alarmMonth +
          subject.compositeAlarms * cloudwatch.compositeAlarmMonth +
          cloudwatch.dashboardMonth),
    },
    {
      item: 'KMS, requests',
      detail: 'a data key serves many objects',
      usd: ((backups * measured.objects + posture.runs * 2) / 10_000) * prices.kms.perTenThousandRequests,
    },
    {
      item: 'CloudWatch, logs',
      detail: 'of executions, tasks and functions',
      usd:
        ((backups * logBytes.backup + tests * logBytes.restoreTest + posture.runs * logBytes.posture) / gib) *
        cloudwatch.logGb,
    },
    { item: 'Secrets Manager', detail: '1 secret in 2 regions', usd: 2 * prices.secretsManager.secretMonth },
    ...(subject.wal ? walCost(subject.wal, measured, regions, prices) : []),
    ...(subject.failsOver ? failoverCost(prices) : []),
  ];
}

export interface SharedSubject {
  /** Interface endpoints times zones, over both regions; 0 in VPCs of one's own. */
  readonly endpoints: number;
  readonly platformAlarms: number;
}

/** What a system costs whatever the number of its databases. */
export const sharedCost = ({ endpoints, platformAlarms }: SharedSubject, prices: Prices): CostLine[] => [
  {
    item: 'Interface endpoints',
    detail: endpoints > 0 ? `${endpoints} over both regions` : 'none: VPCs of your own',
    usd: endpoints * prices.network.endpointHour * (month / 3600),
  },
  { item: 'KMS, keys', detail: '1 in each region', usd: 2 * prices.kms.keyMonth },
  {
    item: 'CloudWatch',
    detail: `${platformAlarms} alarms and a dashboard in each region`,
    usd: 2 * (platformAlarms * prices.cloudwatch.alarmMonth + prices.cloudwatch.dashboardMonth),
  },
];

export const totalOf = (lines: readonly CostLine[]): number => lines.reduce((sum, { usd }) => sum + usd, 0);
