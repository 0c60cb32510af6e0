/**
 * The layout of the backup bucket. It is write-once: no key below is ever written a second time, so Object Lock,
 * versioning and replication have nothing to disagree about.
 *
 *     {system}/{database}/{lineage}/logical/{backupId}/manifest.json      the commit: without it nothing else counts
 *                                                      verification.json · globals.sql.zst · details.json
 *                                                      {n}/schema.dump.zst · {n}/main.dump.zst
 *                                                      {n}/tables/{n}.dump.zst · {n}/fingerprint.json
 *     {system}/{database}/{lineage}/adhoc/{backupId}/…                    the same, for a selection that somebody asked for
 *     {system}/{database}/{lineage}/base/{backupId}/manifest.json …
 *     {system}/{database}/{lineage}/wal/archive.json                      whose WAL this is: see core/wal-archive.ts
 *                                      /{TLI}/{SEGMENT}.zst · {TLI}/parts/{SEGMENT}/{start}-{end}.zst · {TLI}.history
 *                                      /gaps/{timeline}-{start}-{end}.json · points/{timeline}-{lsn}.json
 *     {system}/{database}/{lineage}/retention/{planId}.json               what was removed, and why
 *     {system}/{database}/{lineage}/recovery-proofs/{proofId}.json · {proofId}.html
 *     {system}/{database}/{lineage}/drills/{drillId}.json · {drillId}.html
 *     {system}/{database}/{lineage}/diverged/{execution}.txt              transactions that only an old primary had
 *     {system}/{database}/{lineage}/proofs/{proofId}.json · {proofId}.html
 */

import { fromLsnDigits, lsnDigits } from './lsn.ts';
import { timelineDigits } from './wal.ts';

/** Where one history of one database is kept. A lineage is named by the operator: clones share a system identifier. */
export interface Lineage {
  readonly system: string;
  readonly database: string;
  readonly lineage: string;
}

export const databasePrefix = ({ system, database }: Omit<Lineage, 'lineage'>): string => `${system}/${database}/`;
export const lineagePrefix = (of: Lineage): string => `${databasePrefix(of)}${of.lineage}/`;
export const logicalPrefix = (of: Lineage): string => `${lineagePrefix(of)}logical/`;

/** Backups of a selection that somebody asked for: apart, so that nothing takes one for a daily backup. */
export const adhocPrefix = (of: Lineage): string => `${lineagePrefix(of)}adhoc/`;

/** The folder of one backup, with its trailing slash. */
export const backupPrefix = (of: Lineage, backupId: string, adhoc = false): string =>
  `${adhoc ? adhocPrefix(of) : logicalPrefix(of)}${backupId}/`;

/** Where to look for a backup: by its id wherever it may be, the newest among the daily ones alone. */
export const foldersOf = (of: Lineage, backupId: string | null): string[] =>
  backupId === null ? [logicalPrefix(of)] : [backupPrefix(of, backupId), backupPrefix(of, backupId, true)];

/** The same for what is read without being restored: a base backup, too, by its id. */
export const storedFoldersOf = (of: Lineage, backupId: string | null): string[] =>
  backupId === null ? foldersOf(of, null) : [...foldersOf(of, backupId), baseBackupPrefix(of, backupId)];

export const manifestKey = (prefix: string): string => `${prefix}manifest.json`;
export const verificationKey = (prefix: string): string => `${prefix}verification.json`;
export const globalsKey = (prefix: string): string => `${prefix}globals.sql.zst`;

/** The folder of the n-th database of a backup, from 1: a name may hold what a key had better not. */
export const contentPrefix = (prefix: string, n: number): string => `${prefix}${n}/`;
/** Of a backup that is encrypted before it is stored: its whole manifest. */
export const detailsKey = (prefix: string): string => `${prefix}details.json`;
export const fingerprintKey = (prefix: string): string => `${prefix}fingerprint.json`;
export const schemaKey = (prefix: string): string => `${prefix}schema.dump.zst`;
export const mainKey = (prefix: string): string => `${prefix}main.dump.zst`;
export const tableKey = (prefix: string, n: number): string => `${prefix}tables/${n}.dump.zst`;
/** Where the n-th volume of what begins in `key` is; the first is there itself. */
export const volumeKey = (key: string, n: number): string => (n === 1 ? key : key.replace(/\.\w+\.zst$/, `.${n}$&`));

/** Physical base backups, each a folder of its own with a manifest, as logical ones have. */
export const basePrefix = (of: Lineage): string => `${lineagePrefix(of)}base/`;
export const baseBackupPrefix = (of: Lineage, backupId: string): string => `${basePrefix(of)}${backupId}/`;

export const walPrefix = (of: Lineage): string => `${lineagePrefix(of)}wal/`;
export const walIdentityKey = (of: Lineage): string => `${walPrefix(of)}archive.json`;
export const walHistoryKey = (of: Lineage, timeline: number): string =>
  `${walPrefix(of)}${timelineDigits(timeline)}.history`;
export const walTimelinePrefix = (of: Lineage, timeline: number): string =>
  `${walPrefix(of)}${timelineDigits(timeline)}/`;
/** A whole segment; its name begins with its timeline. */
export const walSegmentKey = (of: Lineage, segment: string): string =>
  `${walPrefix(of)}${segment.slice(0, 8)}/${segment}.zst`;
/** A piece of a segment: the bytes of the WAL from `start` up to, and without, `end`. */
export const walPartKey = (of: Lineage, segment: string, start: bigint, end: bigint): string =>
  `${walPrefix(of)}${segment.slice(0, 8)}/parts/${segment}/${lsnDigits(start)}-${lsnDigits(end)}.zst`;
/** WAL that the server no longer had when it was asked for. */
export const walGapKey = (of: Lineage, timeline: number, start: bigint, end: bigint): string =>
  `${walPrefix(of)}gaps/${timelineDigits(timeline)}-${lsnDigits(start)}-${lsnDigits(end)}.json`;
export const walPointsPrefix = (of: Lineage): string => `${walPrefix(of)}points/`;
/** A named restore point (pg_create_restore_point); `lsn` is the end of its record. */
export const walPointKey = (of: Lineage, timeline: number, lsn: bigint): string =>
  `${walPointsPrefix(of)}${timelineDigits(timeline)}-${lsnDigits(lsn)}.json`;

export type WalKey =
  | { readonly kind: 'segment'; readonly segment: string }
  | { readonly kind: 'part'; readonly segment: string; readonly start: bigint; readonly end: bigint }
  | { readonly kind: 'history'; readonly timeline: number }
  | { readonly kind: 'gap'; readonly timeline: number; readonly start: bigint; readonly end: bigint }
  | { readonly kind: 'point'; readonly timeline: number; readonly lsn: bigint }
  | { readonly kind: 'identity' };

const walKeyPatterns = {
  segment: /\/wal\/(?<tli>[0-9A-F]{8})\/(?<segment>\k<tli>[0-9A-F]{16})\.zst$/,
  part: /\/wal\/(?<tli>[0-9A-F]{8})\/parts\/(?<segment>\k<tli>[0-9A-F]{16})\/(?<start>[0-9A-F]{16})-(?<end>[0-9A-F]{16})\.zst$/,
  history: /\/wal\/(?<tli>[0-9A-F]{8})\.history$/,
  gap: /\/wal\/gaps\/(?<tli>[0-9A-F]{8})-(?<start>[0-9A-F]{16})-(?<end>[0-9A-F]{16})\.json$/,
  point: /\/wal\/points\/(?<tli>[0-9A-F]{8})-(?<start>[0-9A-F]{16})\.json$/,
  identity: /\/wal\/archive\.json$/,
};

/** What a key under `wal/` stands for; undefined for one that pgdr does not write. */
export function parseWalKey(key: string): WalKey | undefined {
  for (const [kind, pattern] of Object.entries(walKeyPatterns)) {
    const match = pattern.exec(key);
    if (!match) continue;
    const { tli = '0', segment = '', start, end } = match.groups ?? {};
    const timeline = Number.parseInt(tli, 16);
    const from = start === undefined ? 0n : fromLsnDigits(start);
    const to = end === undefined ? 0n : fromLsnDigits(end);
    if (kind === 'segment') return { kind, segment };
    if (kind === 'part') return from < to ? { kind, segment, start: from, end: to } : undefined;
    if (kind === 'history') return { kind, timeline };
    if (kind === 'gap') return { kind, timeline, start: from, end: to };
    if (kind === 'point') return { kind, timeline, lsn: from };
    return { kind: 'identity' };
  }
  return undefined;
}

export const proofKey = (of: Lineage, proofId: string, extension: 'json' | 'html'): string =>
  `${lineagePrefix(of)}proofs/${proofId}.${extension}`;

export const retentionPlanKey = (of: Lineage, planId: string): string => `${lineagePrefix(of)}retention/${planId}.json`;

/** Of recoveries from base backups and WAL: apart, since their times and ages say something else. */
export const recoveryProofPrefix = (of: Lineage): string => `${lineagePrefix(of)}recovery-proofs/`;
export const recoveryProofKey = (of: Lineage, proofId: string, extension: 'json' | 'html'): string =>
  `${recoveryProofPrefix(of)}${proofId}.${extension}`;

/** Evidence of drills: in the bucket of the recovery region. */
export const drillPrefix = (of: Lineage): string => `${lineagePrefix(of)}drills/`;
export const drillKey = (of: Lineage, drillId: string, extension: 'json' | 'html'): string =>
  `${drillPrefix(of)}${drillId}.${extension}`;

/** What only an old primary had, by the execution of the failback that undid it. */
export const divergedPrefix = (of: Lineage): string => `${lineagePrefix(of)}diverged/`;
export const divergedKey = (of: Lineage, run: string): string => `${divergedPrefix(of)}${run}.txt`;

/** The folder of the backup whose manifest this is. */
export const prefixOfManifest = (key: string): string => key.slice(0, key.lastIndexOf('/') + 1);

/**
 * An id that sorts by time and cannot meet another: `20261121T020000Z-4f2a9c`.
 * It is made anew by each attempt, so a retried task never writes under the keys of the one before.
 */
export function timeOrderedId(at: Date, random: string): string {
  return `${at.toISOString().replace(/[-:]|\.\d+/g, '')}-${random}`;
}

/** Parts are what a stream holds in memory, `partsHeld` of them. S3 takes 10,000 an object: 84 GB of this size. */
export const smallestPartBytes = 8 * 1024 * 1024;

/** For what is one object however long it is: the estimate may be wrong by a fifth and still fit in 9,000 parts. */
export function partBytesFor(estimatedBytes: number): number {
  return Math.max(smallestPartBytes, Math.ceil((estimatedBytes * 1.2) / 9000));
}
