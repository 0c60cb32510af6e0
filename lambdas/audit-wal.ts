import { listBaseBackups } from '../lib/aws/base-backups.ts';
import { publishEmbedded } from '../lib/aws/embedded-metrics.ts';
import { getText, type ObjectStore, openStore } from '../lib/aws/object-store.ts';
import { recoverableSeconds } from '../lib/aws/recoverable-window.ts';
import { loadSettings } from '../lib/aws/settings.ts';
import { listVersions, readSound } from '../lib/aws/wal-audit.ts';
import { type Lineage, parseWalKey, walIdentityKey, walPrefix } from '../lib/core/keys.ts';
import { parseLsn } from '../lib/core/lsn.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import { parseWalIdentity, readArchive, type WalObject } from '../lib/core/wal-archive.ts';
import { chooseForReading, type Finding, findAltered, findMissing, presentKeys } from '../lib/core/wal-audit.ts';
import { defineHandler, logger } from './define-handler.ts';

/** One run an hour; what came since the one before, and half an hour more, is read to its end. */
const lookBackMilliseconds = 90 * 60_000;
/** Of what is older, a twenty-fourth in each run. */
const everyNth = 24;
/** Milliseconds after which no further object is begun; the function has fifteen minutes. */
const patience = 12 * 60_000;

export interface Audit {
  readonly objects: number;
  readonly read: number;
  readonly findings: readonly Finding[];
  /** Seconds of all moments that can be recovered from what this region holds. */
  readonly recoverable: number;
}

/**
 * Audits the stored WAL of a database: is every byte there from the oldest base backup on, was any key written twice, can
 * what is new, and a share of what is old, be read to its end? What is amiss is counted in WalGaps, which has an
 * alarm, and so has the length of what can be recovered, which only this function measures.
 */
export const handler = defineHandler(async ({ database }: { database: string }): Promise<Audit> => {
  const settings = await loadSettings(process.env.SYSTEM ?? '', database);
  const audit = await auditWal(openStore(settings.bucket), settings, new Date());
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

export async function auditWal(store: ObjectStore, of: Lineage, now: Date): Promise<Audit> {
  const began = performance.now();
  const versions = await listVersions(store, walPrefix(of));
  const keys = presentKeys(versions);
  const identity = walIdentityKey(of);
  if (versions.length === 0) return { objects: 0, read: 0, findings: [], recoverable: 0 };
  const findings = findAltered(versions);
  if (!keys.includes(identity))
    return { objects: keys.length, read: 0, findings: [...findings, lost(identity)], recoverable: 0 };
  const histories = new Map<number, string>();
  for (const key of keys) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  const { walSegmentBytes } = parseWalIdentity(await getText(store, identity), identity);
  const archive = readArchive(keys, walSegmentBytes, histories);
  const backups = await listBaseBackups(store, of, (key) => findings.push({ kind: 'broken', what: key }));
  findings.push(...findMissing(archive, oldestStart(backups)));
  const modifiedAt = new Map(versions.filter(({ isLatest }) => isLatest).map(({ key, modifiedAt: at }) => [key, at]));
  const chosen = chooseForReading(archive, modifiedAt, {
    since: new Date(now.getTime() - lookBackMilliseconds),
    everyNth,
    day: Math.floor(now.getTime() / 3_600_000),
  });
  let read = 0;
  await eachOf(chosen, 8, async (object) => {
    if (performance.now() - began > patience) return;
    const finding = await readSound(store, object);
    read += 1;
    if (finding) findings.push(finding);
  });
  const recoverable = await recoverableSeconds(store, backups, archive);
  return { objects: keys.length, read, findings, recoverable };
}

const lost = (key: string): Finding => ({ kind: 'missing', what: key });

/** Where the WAL is needed from: the start of the oldest verified base backup. */
const oldestStart = (backups: readonly PhysicalManifest[]): bigint | undefined =>
  backups.map(({ startLsn }) => parseLsn(startLsn)).reduce<bigint | undefined>(earlier, undefined);

const earlier = (a: bigint | undefined, b: bigint): bigint => (a === undefined || b < a ? b : a);

async function eachOf(items: readonly WalObject[], atATime: number, work: (item: WalObject) => Promise<void>) {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (const item of waiting) await work(item);
    }),
  );
}
