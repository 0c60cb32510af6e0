import type { CostLine, Measured } from './cost.ts';
import { gib, month, n, startSeconds, type TaskSize, taskCost } from './cost-units.ts';
import type { Prices } from './prices.ts';

/** What goes on all the time: the receipt of WAL with its base backups, and the probes of a pair of servers. */

export interface WalSubject {
  readonly receiver: TaskSize;
  readonly baseTask: TaskSize;
  readonly baseIntervalSeconds: number;
  /** WAL and base backups of this time are kept, and what a recovery to its start needs. */
  readonly pitrSeconds: number;
  readonly lockSeconds: number;
  /** A chunk is written every few seconds, since a heartbeat commits that often. */
  readonly chunkSeconds: number;
}

export function walCost(wal: WalSubject, measured: Measured, regions: number, prices: Prices): CostLine[] {
  const { baseBytes = 0, baseSeconds = 0, walBytesPerDay = 0 } = measured;
  const { s3, replication } = prices;
  const keptDays = (wal.pitrSeconds + wal.baseIntervalSeconds + wal.lockSeconds) / 86_400;
  const bases = month / wal.baseIntervalSeconds;
  const keptBases = Math.max(1, (keptDays * 86_400) / wal.baseIntervalSeconds);
  const storedGib = (walBytesPerDay * keptDays + baseBytes * keptBases) / gib;
  const newGib = ((walBytesPerDay * month) / 86_400 + baseBytes * bases) / gib;
  const chunks = month / wal.chunkSeconds;
  return [
    {
      item: 'Fargate, receiver of WAL',
      detail: `${wal.receiver.vcpu} vCPU, ${wal.receiver.memoryGiB} GiB, all the time`,
      usd: taskCost(wal.receiver, month, prices),
    },
    {
      item: 'Fargate, base backups',
      detail: `${n(bases)} runs of ${n(baseSeconds)} s`,
      usd: bases * taskCost(wal.baseTask, baseSeconds + startSeconds, prices),
    },
    {
      item: 'S3, WAL and base backups',
      detail: `${n(storedGib)} GiB, kept ${n(keptDays)} days with their locks`,
      usd: storedGib * s3.gbMonth * regions,
    },
    {
      item: 'S3, writes of WAL',
      detail: `a chunk every ${n(wal.chunkSeconds)} s: ${n(chunks * regions)}`,
      usd: ((chunks * regions) / 1000) * s3.perThousandPuts,
    },
    {
      item: 'Replication of WAL',
      detail: `${n(newGib)} GiB to the other region`,
      usd: regions > 1 ? newGib * (replication.transferPerGb + replication.timeControlPerGb) : 0,
    },
  ];
}

/** The probe: 50 of each 60 seconds, 512 MiB, in both regions; it notes each second what it saw. */
const probe = { runs: 2 * (month / 60), gbSeconds: 25, writes: 50, transitions: 5 };

export function failoverCost({ lambda, stepFunctions, dynamodb, route53 }: Prices): CostLine[] {
  return [
    {
      item: 'Lambda, probes',
      detail: `${n(probe.runs)} of 50 s, in 2 regions`,
      usd: probe.runs * (probe.gbSeconds * lambda.gbSecond + lambda.perMillionRequests / 1e6),
    },
    {
      item: 'Step Functions, probes',
      detail: `${n(probe.runs * probe.transitions)} transitions`,
      usd: ((probe.runs * probe.transitions) / 1000) * stepFunctions.perThousandTransitions,
    },
    {
      item: 'DynamoDB, probes',
      detail: `${n(probe.runs * probe.writes)} writes`,
      usd: ((probe.runs * probe.writes) / 1e6) * dynamodb.perMillionWrites,
    },
    {
      item: 'Route 53',
      detail: 'a private zone and a health check',
      usd: route53.zoneMonth + route53.healthCheckMonth,
    },
  ];
}
