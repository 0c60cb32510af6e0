import { listBaseBackups } from '../../aws/base-backups.ts';
import { parseWalKey, walPrefix } from '../../core/keys.ts';
import { formatLsn } from '../../core/lsn.ts';
import { chooseRecovery, describeTarget, type Recovery, type RecoveryTarget } from '../../core/recovery-target.ts';
import type { RestoreRequest } from '../../core/restore-request.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import { readArchive } from '../../core/wal-archive.ts';
import type { Clients } from '../clients.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { listKeys, readObject } from '../evidence.ts';
import { formatTable } from '../output.ts';
import { givenOf, type RestoreOptions, showAndRun } from './restore-run.ts';

/** `pgdr restore --to-time …`: refuses what cannot be reached, shows from where it is recovered, and starts the workflow. */
export async function restoreAt(
  database: string,
  request: RestoreRequest,
  target: RecoveryTarget,
  options: RestoreOptions,
): Promise<ExitCode> {
  const planned = async (clients: Clients, settings: DatabaseSettings) => {
    const input = givenOf(request);
    const recovery = await plan(clients, settings, target);
    requireDatabase(recovery, request);
    return { input, description: describe(database, clients.region, target, recovery, input) };
  };
  return showAndRun(database, options, planned, render);
}

/** What the options say of a point in time; null when they name none. */
export function targetOf(options: RestoreOptions): Record<string, unknown> | null {
  const { toTime, toLsn, toName, toXid, latest } = options;
  const given = [
    ...(toTime === undefined ? [] : [{ kind: 'time', time: toTime }]),
    ...(toLsn === undefined ? [] : [{ kind: 'lsn', lsn: toLsn }]),
    ...(toName === undefined ? [] : [{ kind: 'name', name: toName }]),
    ...(toXid === undefined ? [] : [{ kind: 'xid', xid: toXid }]),
    ...(latest ? [{ kind: 'latest' }] : []),
  ];
  if (given.length > 1 || (given.length === 0 && options.timeline !== undefined)) {
    throw new CliError('RequestInvalid', 'Name one of --to-time, --to-lsn, --to-name, --to-xid and --latest.', {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
    });
  }
  const [target] = given;
  if (!target) return null;
  if (options.timeline !== undefined && !/^[1-9]\d*$/.test(options.timeline)) {
    throw new CliError('RequestInvalid', `--timeline ${options.timeline} is not the number of a timeline.`, {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
    });
  }
  return options.timeline === undefined ? target : { ...target, timeline: Number(options.timeline) };
}

async function plan(clients: Clients, settings: DatabaseSettings, target: RecoveryTarget): Promise<Recovery> {
  const { bucket } = settings;
  const read = async (key: string) => (await readObject(clients, bucket, key)) ?? '';
  // As the task will: what cannot be read is no base backup to begin with.
  const backups = await listBaseBackups({ s3: clients.s3, bucket }, settings, () => {});
  const wal = await listKeys(clients, bucket, walPrefix(settings));
  const histories = new Map<number, string>();
  for (const key of wal) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await read(key));
  }
  return chooseRecovery(target, backups, readArchive(wal, backups.at(-1)?.walSegmentBytes ?? 2 ** 24, histories));
}

/** One database is restored: which one, is to be said before a whole server is recovered for it. */
function requireDatabase({ backup }: Recovery, { fromDatabase }: RestoreRequest): void {
  const own = backup.databases.map(({ name }) => name).filter((name) => name !== 'postgres');
  if (fromDatabase !== null || own.length <= 1) return;
  throw new CliError('RequestInvalid', `The server holds ${own.join(', ')}: name one with --database.`, {
    exit: exitCode.usage,
    intact: 'Nothing was started.',
    tryNext: 'For the server as a whole: docs/runbooks/server-by-hand.md.',
  });
}

/** What `--dry-run --json` prints; documented in docs/cli.md. */
interface Description {
  readonly ok: true;
  readonly dryRun: true;
  readonly database: string;
  readonly region: string;
  readonly target: string;
  readonly baseBackup: { readonly id: string; readonly parentId: string | null; readonly stoppedAt: string };
  readonly timeline: number;
  readonly wal: { readonly from: string; readonly to: string; readonly bytes: number };
  readonly input: { readonly database: string } & Partial<RestoreRequest>;
}

const describe = (
  database: string,
  region: string,
  target: RecoveryTarget,
  { backup, timeline, start, end }: Recovery,
  input: Partial<RestoreRequest>,
): Description => ({
  ok: true,
  dryRun: true,
  database,
  region,
  target: describeTarget(target),
  baseBackup: { id: backup.id, parentId: backup.parentId, stoppedAt: backup.stoppedAt },
  timeline,
  wal: { from: formatLsn(start), to: formatLsn(end), bytes: Number(end - start) },
  input: { database, ...input },
});

const render = ({ target, baseBackup, timeline, wal, input }: Description): string =>
  formatTable(
    ['Plan', ''],
    [
      ['Recover to', target],
      ['Base backup', `${baseBackup.id}, complete at ${baseBackup.stoppedAt}`],
      ...(baseBackup.parentId === null ? [] : [['Builds on', baseBackup.parentId]]),
      ['WAL', `timeline ${timeline}, stored from ${wal.from} to ${wal.to}`],
      ['Restore', input.tables?.join(', ') ?? input.schemas?.join(', ') ?? 'the whole database'],
      ['Into', `database ${input.toDatabase ?? 'of a new name'}${input.toSchema ? `, schema ${input.toSchema}` : ''}`],
    ],
  );
