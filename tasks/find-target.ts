import { readRestorePoints } from '../lib/aws/restore-points.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Lineage } from '../lib/core/keys.ts';
import { formatLsn, parseLsn } from '../lib/core/lsn.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import {
  chooseRecovery,
  describeTarget,
  formatMicroseconds,
  microseconds,
  type Recovery,
  type RecoveryTarget,
  reachableAlong,
} from '../lib/core/recovery-target.ts';
import {
  mostSearchedBytes,
  noSuchPoint,
  pointNamed,
  type RestorePoint,
  reachablePoints,
} from '../lib/core/restore-points.ts';
import { searchTransaction } from '../lib/core/transaction-search.ts';
import { segmentStart, timelineAt } from '../lib/core/wal.ts';
import type { Range } from '../lib/core/wal-archive.ts';
import type { ToolEnvironment } from '../lib/postgres/tools.ts';
import { log } from './log.ts';
import { lastTransactionTime, readRecords, type StoredWal } from './wal-scan.ts';

/**
 * Targets that only the WAL itself knows of, held against it before anything else is fetched: PostgreSQL would say at
 * the end of a long recovery that it did not find them.
 */

/**
 * Where a named restore point is; undefined when only the recovery tells. Throws `RecoveryTargetUnreachable` for a name
 * that is nowhere in reach.
 */
export async function findPoint(
  name: string,
  target: RecoveryTarget,
  backups: readonly PhysicalManifest[],
  wal: Omit<StoredWal, 'timeline'> & { readonly lineage: Lineage },
): Promise<bigint | undefined> {
  const reachable = reachableAlong(target, backups, wal.archive);
  // Nothing is in reach: what is missing is told by whoever chooses the backup.
  if (reachable.ranges.length === 0) return undefined;
  const known = reachablePoints(await readRestorePoints(wal.store, wal.lineage), reachable);
  const point = pointNamed(name, known);
  if (point) return point.lsn;
  const { timeline, histories } = reachable;
  const { ranges, isWhole } = newestOf(reachable.ranges);
  const seen: RestorePoint[] = [];
  for (const range of ranges) {
    await readRecords({ ...wal, timeline }, range, {
      onCommit() {},
      onRestorePoint: (own, at, lsn) => {
        if (lsn <= range.start) return;
        seen.push({ name: own, at, lsn, timeline: timelineAt(timeline, histories.get(timeline) ?? [], lsn - 1n) });
      },
    });
  }
  const found = pointNamed(name, seen);
  if (found) {
    log('a restore point that was not written down is in the WAL', { name, lsn: formatLsn(found.lsn) });
    return found.lsn;
  }
  const all = [...known, ...seen.filter(({ lsn }) => !known.some((other) => other.lsn === lsn))];
  const sorted = all.sort((a, b) => (a.lsn < b.lsn ? -1 : 1));
  if (isWhole) throw noSuchPoint(name, sorted, 'in the WAL that can be recovered');
  const from = formatLsn(ranges[0]?.start ?? 0n);
  const begin = parseLsn(chooseRecovery(target, backups, wal.archive).backup.stopLsn);
  // All that a recovery from the newest backup would replay was looked through.
  if (begin >= (ranges[0]?.start ?? 0n)) {
    const where = `written down, nor in the WAL from LSN ${from} on, which is as much as is looked through. ${beforeIt}`;
    throw noSuchPoint(name, sorted, where);
  }
  log('whether there is such a restore point, only the recovery will tell', { name, lookedFrom: from });
  return undefined;
}

const beforeIt = 'If it is older, ask for its time or its LSN';

/** The last bytes of the ranges, as many as are looked through. */
function newestOf(ranges: readonly Range[]): { ranges: Range[]; isWhole: boolean } {
  let left = mostSearchedBytes;
  const taken: Range[] = [];
  for (const { start, end } of ranges.toReversed()) {
    const length = end - start < left ? end - start : left;
    if (length > 0n) taken.unshift({ start: end - length, end });
    left -= length;
    if (length < end - start) return { ranges: taken, isWhole: false };
  }
  return { ranges: taken, isWhole: true };
}

/** Throws `RecoveryTargetUnreachable` for a time or a transaction that the WAL behind the chosen backup does not reach. */
export async function checkTarget(
  target: RecoveryTarget,
  recovery: Recovery,
  wal: StoredWal,
  directory: string,
): Promise<void> {
  if (target.kind === 'time') await checkTime(target, recovery, wal, directory);
  if (target.kind === 'xid') await checkTransaction(target.xid, recovery, wal);
}

/** PostgreSQL ends with an error when no transaction is later than the time. */
async function checkTime(
  target: RecoveryTarget & { readonly kind: 'time' },
  { backup, start, end }: Recovery,
  wal: StoredWal,
  directory: string,
): Promise<void> {
  const tools: ToolEnvironment = { env: { PATH: process.env.PATH, LC_ALL: 'C' } };
  const { last, from } = await lastTransactionTime(wal, start, end, directory, tools);
  if (last !== undefined && last > microseconds(target.time)) return;
  if (last === undefined && from > segmentStart(start, wal.archive.segmentBytes)) {
    log('whether a transaction is later, only the recovery will tell', { lookedFrom: formatLsn(from) });
    return;
  }
  const nearest =
    last !== undefined && last > microseconds(backup.stoppedAt) ? formatMicroseconds(last) : backup.stoppedAt;
  throw new PgdrError(
    'RecoveryTargetUnreachable',
    `${describeTarget(target)} cannot be recovered: the last stored transaction is of ${nearest}. ` +
      `Nearest points: any time before it, or the latest point (LSN ${formatLsn(end)})`,
  );
}

async function checkTransaction(xid: string, { backup, end }: Recovery, wal: StoredWal): Promise<void> {
  const start = parseLsn(backup.stopLsn);
  if (end - start > mostSearchedBytes) {
    log('whether the transaction is there, only the recovery will tell', { xid, walBytes: Number(end - start) });
    return;
  }
  const search = searchTransaction(xid);
  const events = {
    onCommit() {},
    onTransactionEnd: (one: Parameters<typeof search.see>[0]) => {
      if (one.end > start) search.see(one);
    },
  };
  await readRecords(wal, { start, end }, events, () => search.isOver);
  if (!search.isOver) throw search.refusal();
}
