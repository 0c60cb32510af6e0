import { listBaseBackups } from '../../aws/base-backups.ts';
import { newestCommitAt } from '../../aws/recoverable-window.ts';
import { humanSeconds } from '../../core/human.ts';
import { parseWalKey, walPrefix } from '../../core/keys.ts';
import { formatLsn } from '../../core/lsn.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import { parseWalIdentity, readArchive, type WalArchive } from '../../core/wal-archive.ts';
import { microsecondsToText } from '../../core/wal-records.ts';
import { type End, recoverableStretches, type Stretch } from '../../core/window.ts';
import type { Clients } from '../clients.ts';
import { openDeployment } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { CliError, type ExitCode, exitCode, toCliError } from '../errors.ts';
import { listKeys, readObject } from '../evidence.ts';
import { createOutput, formatTable } from '../output.ts';

export interface WindowOptions {
  readonly json?: boolean;
  readonly region?: string;
}

/** One edge of a range. */
interface Edge {
  /** RFC 3339 with microseconds, by the server's clock; null where no commit is known. */
  readonly at: string | null;
  readonly lsn: string;
  readonly why: string;
}

interface WindowRange {
  readonly timeline: number;
  readonly from: Edge;
  readonly to: Edge;
  readonly seconds: number | null;
  /** Those that a recovery inside it may begin with; `parentId`: what an increment builds on. */
  readonly baseBackups: readonly { readonly id: string; readonly parentId: string | null }[];
}

/** One element of `regions` in `pgdr window --json`; documented in docs/cli.md. */
interface RegionWindow {
  readonly region: string;
  readonly ranges: readonly WindowRange[];
  /** Why there is nothing to say of this region. */
  readonly problem?: string;
}

/** `pgdr window <database>`: from when to when each region can recover, and why each edge is where it is. */
export async function window(database: string, options: WindowOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { config, clients } = await openDeployment(options.region);
  clients.close();
  const regions = options.region ? [options.region] : [config.regions.primary, config.regions.recovery];
  const windows = await Promise.all(regions.map((region) => windowOf(region, database)));
  if (windows.every(({ problem }) => problem !== undefined)) {
    throw new CliError('WindowUnknown', windows.map(({ region, problem }) => `${region}: ${problem}`).join('\n'), {
      intact: 'Nothing was changed.',
    });
  }
  output.result({ database, regions: windows }, () => windows.map((one) => render(one)).join('\n\n'));
  return windows.some(({ ranges }) => ranges.length > 0) ? exitCode.done : exitCode.notFound;
}

async function windowOf(region: string, database: string): Promise<RegionWindow> {
  const { config, clients } = await openDeployment(region);
  try {
    const settings = await readSettings(clients, config.name, database);
    const [backups, archive] = await Promise.all([
      listBaseBackups({ s3: clients.s3, bucket: settings.bucket }, settings),
      readWal(clients, settings),
    ]);
    if (!archive) return { region, ranges: [] };
    const stretches = recoverableStretches(backups, archive);
    return { region, ranges: await Promise.all(stretches.map((one) => toRange(clients, settings, archive, one))) };
  } catch (error) {
    return { region, ranges: [], problem: toCliError(error).message };
  } finally {
    clients.close();
  }
}

/** Undefined when no receiver has written anything. */
async function readWal(clients: Clients, settings: DatabaseSettings): Promise<WalArchive | undefined> {
  const keys = await listKeys(clients, settings.bucket, walPrefix(settings));
  const histories = new Map<number, string>();
  let segmentBytes: number | undefined;
  for (const key of keys) {
    const parsed = parseWalKey(key);
    if (parsed?.kind !== 'history' && parsed?.kind !== 'identity') continue;
    const text = (await readObject(clients, settings.bucket, key)) ?? '';
    if (parsed.kind === 'history') histories.set(parsed.timeline, text);
    else segmentBytes = parseWalIdentity(text, key).walSegmentBytes;
  }
  return segmentBytes === undefined ? undefined : readArchive(keys, segmentBytes, histories);
}

async function toRange(
  clients: Clients,
  settings: DatabaseSettings,
  archive: WalArchive,
  stretch: Stretch,
): Promise<WindowRange> {
  const { timeline, from, to, backups } = stretch;
  const newest = await newestCommitAt({ s3: clients.s3, bucket: settings.bucket }, archive, stretch);
  const last = newest === undefined ? null : microsecondsToText(newest);
  const seconds = last === null ? null : (Date.parse(last) - Date.parse(from.backup.stoppedAt)) / 1000;
  return {
    timeline,
    from: { at: from.backup.stoppedAt, lsn: formatLsn(from.lsn), why: `base backup ${from.backup.id} was complete` },
    to: { at: last, lsn: formatLsn(to.lsn), why: wordsFor(to.because, timeline) },
    seconds,
    baseBackups: backups.map(({ id, parentId }) => ({ id, parentId })),
  };
}

function wordsFor(end: End, timeline: number): string {
  switch (end.kind) {
    case 'stored':
      return 'the newest stored commit';
    case 'gap':
      return `WAL is missing from ${formatLsn(end.gap.start)} to ${formatLsn(end.gap.end)}`;
    case 'left':
      return `timeline ${timeline} ended here; timeline ${end.by} had left it at ${formatLsn(end.at)}`;
  }
}

function render({ region, ranges, problem }: RegionWindow): string {
  if (problem !== undefined) return `${region}: ${problem}`;
  if (ranges.length === 0)
    return `${region}: no point in time can be recovered; there is no verified base backup with its WAL.`;
  const rows = ranges.map(({ timeline, from, to, seconds }) => [
    from.at ?? '',
    to.at ?? 'unknown',
    seconds === null ? '' : humanSeconds(seconds),
    String(timeline),
    from.lsn,
    to.lsn,
    `${from.why}; ${to.why}`,
  ]);
  const header = ['From', 'To', 'Length', 'Timeline', 'From LSN', 'To LSN', 'Why'];
  return `${region}\n${formatTable(header, rows, [2, 3])}`;
}
