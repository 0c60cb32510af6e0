import { chainOf } from '../../core/backup-chain.ts';
import { humanBytes } from '../../core/human.ts';
import { inTurns } from '../../core/in-turns.ts';
import { basePrefix, manifestKey, prefixOfManifest, verificationKey } from '../../core/keys.ts';
import { type PhysicalManifest, parsePhysicalManifest } from '../../core/physical-manifest.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import type { Clients } from '../clients.ts';
import { fromAnyRegion } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { type ExitCode, exitCode } from '../errors.ts';
import { listKeys, readObject } from '../evidence.ts';
import { createOutput, formatTable } from '../output.ts';
import type { ListOptions } from './list.ts';

/** One element of `pgdr list --physical --json`; documented in docs/cli.md. */
interface ListedBaseBackup {
  readonly id: string;
  /** When it was complete: the earliest time that can be recovered with it. */
  readonly stoppedAt: string;
  readonly bytes: number;
  readonly rawBytes: number;
  /** What an increment builds on; null: it is a full one. */
  readonly parentId: string | null;
  /** Why it is full though an increment was asked for. */
  readonly fullBecause: string | null;
  readonly timeline: number;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly verified: boolean;
  /** Whether it and all that it builds on are there and were read back. */
  readonly usable: boolean;
  readonly manifestKey: string;
  /** Why its manifest cannot be read; the other fields are empty then. */
  readonly problem?: string;
}

/** `pgdr list <database> --physical`: the base backups of a database, newest first. */
export async function listBase(database: string, options: ListOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  return fromAnyRegion(options.region, async ({ config, clients }) => {
    const settings = await readSettings(clients, config.name, database);
    const backups = await listBaseBackups(clients, settings);
    output.result(backups, () =>
      backups.length > 0 ? render(backups) : `No base backups of ${database} in ${clients.region}.`,
    );
    return exitCode.done;
  });
}

async function listBaseBackups(clients: Clients, settings: DatabaseSettings): Promise<ListedBaseBackup[]> {
  const keys = new Set(await listKeys(clients, settings.bucket, basePrefix(settings)));
  const found = [...keys].filter((one) => one === manifestKey(prefixOfManifest(one))).sort();
  const read = await inTurns(found.toReversed(), async (key) => {
    const text = (await readObject(clients, settings.bucket, key)) ?? '';
    try {
      return { key, manifest: parsePhysicalManifest(text, key) };
    } catch (error) {
      return { key, problem: (error as Error).message };
    }
  });
  const isVerified = (key: string) => keys.has(verificationKey(prefixOfManifest(key)));
  const verified = read.flatMap(({ key, manifest }) => (manifest && isVerified(key) ? [manifest] : []));
  return read.map(({ key, manifest, problem = '' }) =>
    manifest ? listed(key, manifest, isVerified(key), verified) : unreadable(key, problem),
  );
}

const listed = (
  key: string,
  manifest: PhysicalManifest,
  verified: boolean,
  all: readonly PhysicalManifest[],
): ListedBaseBackup => ({
  id: manifest.id,
  stoppedAt: manifest.stoppedAt,
  bytes: manifest.objects.reduce((sum, { bytes }) => sum + bytes, 0),
  rawBytes: manifest.objects.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
  parentId: manifest.parentId,
  fullBecause: manifest.fullBecause ?? null,
  timeline: manifest.timeline,
  startLsn: manifest.startLsn,
  stopLsn: manifest.stopLsn,
  verified,
  usable: verified && chainOf(manifest, all) !== undefined,
  manifestKey: key,
});

const unreadable = (key: string, problem: string): ListedBaseBackup => ({
  id: key.split('/').at(-2) as string,
  stoppedAt: '',
  bytes: 0,
  rawBytes: 0,
  parentId: null,
  fullBecause: null,
  timeline: 0,
  startLsn: '',
  stopLsn: '',
  verified: false,
  usable: false,
  manifestKey: key,
  problem,
});

function render(backups: readonly ListedBaseBackup[]): string {
  const usable = (backup: ListedBaseBackup) => {
    if (backup.usable) return 'yes';
    return backup.verified ? 'no: an ancestor is missing' : 'no: not read back';
  };
  const rows = backups.map((backup) =>
    backup.problem === undefined
      ? [
          backup.id,
          backup.stoppedAt.replace(/\.\d+Z$/, 'Z'),
          humanBytes(backup.bytes),
          humanBytes(backup.rawBytes),
          backup.parentId ?? (backup.fullBecause === null ? 'full' : `full: ${backup.fullBecause}`),
          String(backup.timeline),
          backup.stopLsn,
          usable(backup),
        ]
      : [backup.id, 'unreadable manifest', '', '', '', '', '', 'no'],
  );
  return formatTable(['Id', 'Complete', 'Size', 'Raw', 'Builds on', 'Timeline', 'LSN', 'Usable'], rows, [2, 3, 5]);
}
