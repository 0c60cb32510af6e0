import { publishEmbedded } from '../lib/aws/embedded-metrics.ts';
import { getText, list, type ObjectStore, openStore } from '../lib/aws/object-store.ts';
import { loadSettings } from '../lib/aws/settings.ts';
import { listVersions, readSound } from '../lib/aws/wal-audit.ts';
import { PgdrError } from '../lib/core/errors.ts';
import {
  basePrefix,
  type Lineage,
  manifestKey,
  parseWalKey,
  prefixOfManifest,
  verificationKey,
  walIdentityKey,
  walPrefix,
} from '../lib/core/keys.ts';
import { parseLsn } from '../lib/core/lsn.ts';
import { parsePhysicalManifest } from '../lib/core/physical-manifest.ts';
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
}

/**
 * Audits the stored WAL of a database: is every byte there from the oldest base backup on, was any key written twice, can
 * what is new, and a share of what is old, be read to its end? What is amiss is counted in WalGaps, which has an alarm.
 */
export const handler = defineHandler(async ({ database }: { database: string }): Promise<Audit> => {
  const settings = await loadSettings(process.env.SYSTEM ?? '', database);
  const audit = await auditWal(openStore(settings.bucket), settings, new Date());
  for (const finding of audit.findings) logger.error('stored WAL is not as it should be', { database, ...finding });
  logger.info('audited', { database, objects: audit.objects, read: audit.read, findings: audit.findings.length });
  publishEmbedded(database, new Map([['WalGaps', audit.findings.length]]));
  return { ...audit, findings: audit.findings.slice(0, 100) };
});

export async function auditWal(store: ObjectStore, of: Lineage, now: Date): Promise<Audit> {
  const began = performance.now();
  const versions = await listVersions(store, walPrefix(of));
  const keys = presentKeys(versions);
  const identity = walIdentityKey(of);
  if (versions.length === 0) return { objects: 0, read: 0, findings: [] };
  const findings = findAltered(versions);
  if (!keys.includes(identity)) return { objects: keys.length, read: 0, findings: [...findings, lost(identity)] };
  const histories = new Map<number, string>();
  for (const key of keys) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  const { walSegmentBytes } = parseWalIdentity(await getText(store, identity), identity);
  const archive = readArchive(keys, walSegmentBytes, histories);
  findings.push(...findMissing(archive, await oldestStart(store, of)));
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
  return { objects: keys.length, read, findings };
}

const lost = (key: string): Finding => ({ kind: 'missing', what: key });

/** Where the WAL is needed from: the start of the oldest verified base backup. */
async function oldestStart(store: ObjectStore, of: Lineage): Promise<bigint | undefined> {
  const keys = new Set<string>();
  for await (const key of list(store, basePrefix(of))) keys.add(key);
  const manifests = [...keys].filter(
    (key) => key === manifestKey(prefixOfManifest(key)) && keys.has(verificationKey(prefixOfManifest(key))),
  );
  const starts: bigint[] = [];
  for (const key of manifests) {
    try {
      starts.push(parseLsn(parsePhysicalManifest(await getText(store, key), key).startLsn));
    } catch (error) {
      // A manifest that cannot be read is found by whoever restores or verifies it.
      if (!(error instanceof PgdrError)) throw error;
    }
  }
  return starts.length > 0 ? starts.reduce((a, b) => (a < b ? a : b)) : undefined;
}

async function eachOf(items: readonly WalObject[], atATime: number, work: (item: WalObject) => Promise<void>) {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (const item of waiting) await work(item);
    }),
  );
}
