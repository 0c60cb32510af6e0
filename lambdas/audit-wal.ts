import { listBaseBackups } from '../lib/aws/base-backups.ts';
import { publishEmbedded } from '../lib/aws/embedded-metrics.ts';
import { getText, type ObjectStore, openStore } from '../lib/aws/object-store.ts';
import { recoverableSeconds } from '../lib/aws/recoverable-window.ts';
import { loadSettings } from '../lib/aws/settings.ts';
import { openStateItems, readItem, writeItem } from '../lib/aws/state-items.ts';
import { listVersions, readSound } from '../lib/aws/wal-audit.ts';
import { inTurns } from '../lib/core/in-turns.ts';
import { type Lineage, parseWalKey, walIdentityKey, walPrefix } from '../lib/core/keys.ts';
import { parseLsn } from '../lib/core/lsn.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import { parseWalIdentity, readArchive } from '../lib/core/wal-archive.ts';
import {
  chooseForReading,
  type Finding,
  findAltered,
  findMissing,
  presentKeys,
  walAuditItem,
} from '../lib/core/wal-audit.ts';
import { defineHandler, logger } from './define-handler.ts';

/** Without a memory, as in the first run, what came within this is read; a run begins once an hour. */
const firstLookBackMilliseconds = 90 * 60_000;
/** What was on its way while the run before listed may be older than that run by this much. */
const overlapMilliseconds = 10 * 60_000;
/** Runs in which all that is old is read again: three days. */
const sweep = 72;
/** S3 copies within 15 minutes, and an upload that is refused is tried again for seconds. */
const youngMilliseconds = 30 * 60_000;
/** Keys that are remembered: the item stays small, and one is reason enough for a page. */
const mostBroken = 200;
/** Milliseconds after which no further object is begun; the function has fifteen minutes. */
const patience = 12 * 60_000;

/** What one run leaves for the next; without it everything is only read sooner again. */
export interface AuditMemory {
  /** RFC 3339: when the last run listed. All that came before was read. */
  readonly listedAt: string;
  /** Up to which key what is old was read again. */
  readonly sweptTo?: string;
  /** Keys that could not be read as what they say. */
  readonly broken?: readonly string[];
}

export interface Audit {
  readonly objects: number;
  readonly read: number;
  readonly findings: readonly Finding[];
  /** Seconds of all moments that can be recovered from what this region holds. */
  readonly recoverable: number;
  readonly memory: AuditMemory;
}

/**
 * Audits the stored WAL of a database: is every byte there from the oldest base backup on, was any key written twice, can
 * what came since the last run, and the next few of what is older, be read to its end? What is amiss is counted in
 * WalGaps, which has an alarm, and so has the length of what can be recovered, which only this function measures.
 */
export const handler = defineHandler(async ({ database }: { database: string }): Promise<Audit> => {
  const settings = await loadSettings(process.env.SYSTEM ?? '', database);
  const items = openStateItems(process.env.STATE_TABLE ?? '', database);
  const memory = await readItem<AuditMemory>(items, walAuditItem);
  const audit = await auditWal(openStore(settings.bucket), settings, new Date(), memory);
  await writeItem(items, walAuditItem, audit.memory);
  for (const finding of audit.findings) logger.error('stored WAL is not as it should be', { database, ...finding });
  logger.info('audited', { database, objects: audit.objects, read: audit.read, findings: audit.findings.length });
  publishEmbedded(
    database,
    new Map([
      ['WalGaps', audit.findings.length],
      ['RecoverableWindowSeconds', audit.recoverable],
    ]),
  );
  return { ...audit, findings: audit.findings.slice(0, 100) };
});

export async function auditWal(store: ObjectStore, of: Lineage, now: Date, memory?: AuditMemory): Promise<Audit> {
  const began = performance.now();
  const versions = await listVersions(store, walPrefix(of));
  const keys = presentKeys(versions);
  const identity = walIdentityKey(of);
  const findings = findAltered(versions);
  const nothing = { objects: keys.length, read: 0, recoverable: 0, memory: { listedAt: now.toISOString() } };
  if (versions.length === 0) return { ...nothing, findings };
  if (!keys.includes(identity)) return { ...nothing, findings: [...findings, lost(identity)] };
  const histories = new Map<number, string>();
  for (const key of keys) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  const { walSegmentBytes } = parseWalIdentity(await getText(store, identity), identity);
  const archive = readArchive(keys, walSegmentBytes, histories);
  const backups = await listBaseBackups(store, of, (key) => findings.push({ kind: 'broken', what: key }));
  const modifiedAt = new Map(versions.filter(({ isLatest }) => isLatest).map(({ key, modifiedAt: at }) => [key, at]));
  const written = versions.filter(({ isDeleteMarker }) => !isDeleteMarker).map(({ key }) => key);
  findings.push(
    ...findMissing(archive, {
      from: oldestStart(backups),
      ever: readArchive(new Set(written), walSegmentBytes),
      recorded: keys.map(parseWalKey).filter((parsed) => parsed?.kind === 'gap'),
      backups: backups.map(({ timeline, startLsn }) => ({ timeline, start: parseLsn(startLsn) })),
      isYoung: ({ key }) => now.getTime() - (modifiedAt.get(key)?.getTime() ?? 0) < youngMilliseconds,
    }),
  );
  const since = memory ? Date.parse(memory.listedAt) - overlapMilliseconds : now.getTime() - firstLookBackMilliseconds;
  const reading = chooseForReading(archive, modifiedAt, { since: new Date(since), after: memory?.sweptTo, sweep });
  // What was broken stays a finding until it reads well or is gone.
  const again = [...archive.objects.values()].flat().filter(({ key }) => memory?.broken?.includes(key));
  const broken: string[] = [];
  // First: one that there was no time for would be forgotten, and its alarm would end.
  const chosen = new Set([...again, ...reading.objects]);
  let read = 0;
  await inTurns([...chosen], async (object) => {
    if (performance.now() - began > patience) return;
    const finding = await readSound(store, object);
    read += 1;
    if (!finding) return;
    findings.push(finding);
    broken.push(object.key);
  });
  const isComplete = read === chosen.size;
  return {
    objects: keys.length,
    read,
    findings,
    recoverable: await recoverableSeconds(store, backups, archive),
    memory: {
      // What there was no time for is chosen once more.
      listedAt: isComplete ? now.toISOString() : new Date(since + overlapMilliseconds).toISOString(),
      sweptTo: isComplete ? reading.next : memory?.sweptTo,
      broken: broken.slice(0, mostBroken),
    },
  };
}

const lost = (key: string): Finding => ({ kind: 'missing', what: key });

/** Where the WAL is needed from: the start of the oldest verified base backup. */
const oldestStart = (backups: readonly PhysicalManifest[]): bigint | undefined =>
  backups.map(({ startLsn }) => parseLsn(startLsn)).reduce<bigint | undefined>(earlier, undefined);

const earlier = (a: bigint | undefined, b: bigint): bigint => (a === undefined || b < a ? b : a);
