import { listBaseBackups } from '../aws/base-backups.ts';
import { mostAsked, newestCommitAt } from '../aws/recoverable-window.ts';
import { parseWalKey, walPrefix } from '../core/keys.ts';
import { formatLsn } from '../core/lsn.ts';
import type { PhysicalManifest } from '../core/physical-manifest.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import { parseWalIdentity, readArchive, type WalArchive } from '../core/wal-archive.ts';
import { microsecondsToText } from '../core/wal-records.ts';
import { type End, recoverableStretches, type Stretch } from '../core/window.ts';
import type { Clients } from './clients.ts';
import { listKeys, readObject } from './evidence.ts';

/** One edge of a range. */
interface Edge {
  /** RFC 3339 with microseconds, by the server's clock; null where no commit is known. */
  readonly at: string | null;
  readonly lsn: string;
  readonly why: string;
}

/** A stretch of time, any moment of which can be recovered. */
export interface WindowRange {
  readonly timeline: number;
  readonly from: Edge;
  readonly to: Edge;
  readonly seconds: number | null;
  /** Those that a recovery inside it may begin with; `parentId`: what an increment builds on. */
  readonly baseBackups: readonly { readonly id: string; readonly parentId: string | null }[];
}

/** What a region's bucket allows to recover, the oldest end first; empty where no receiver has written anything. */
export async function readWindow(clients: Clients, settings: DatabaseSettings): Promise<WindowRange[]> {
  const [backups, archive] = await Promise.all([
    // What cannot be read is no base backup to recover from: `list --physical` names it.
    listBaseBackups({ s3: clients.s3, bucket: settings.bucket }, settings, () => {}),
    readWal(clients, settings),
  ]);
  if (!archive) return [];
  return Promise.all(recoverableStretches(backups, archive).map((one) => toRange(clients, settings, archive, one)));
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
  const why = `${last === null ? `${noCommit}; ` : ''}${wordsFor(to.because, timeline)}`;
  const seconds = last === null ? null : (Date.parse(last) - Date.parse(from.backup.stoppedAt)) / 1000;
  return {
    timeline,
    from: { at: from.backup.stoppedAt, lsn: formatLsn(from.lsn), why: `${nameOf(from.backup)} was complete` },
    to: { at: last, lsn: formatLsn(to.lsn), why },
    seconds,
    baseBackups: backups.map(({ id, parentId }) => ({ id, parentId })),
  };
}

const nameOf = ({ id, parentId }: PhysicalManifest): string =>
  parentId === null ? `base backup ${id}` : `base backup ${id}, which builds on ${parentId},`;

const noCommit = `no commit is in the last ${mostAsked} stored objects`;

function wordsFor(end: End, timeline: number): string {
  switch (end.kind) {
    case 'stored':
      return 'the end of what is stored';
    case 'gap':
      return `WAL is missing from ${formatLsn(end.gap.start)} to ${formatLsn(end.gap.end)}`;
    case 'left':
      return `timeline ${timeline} ended here; timeline ${end.by} had left it at ${formatLsn(end.at)}`;
  }
}
