import { listBaseBackups } from '../../aws/base-backups.ts';
import { getText } from '../../aws/object-store.ts';
import { readRestorePoints } from '../../aws/restore-points.ts';
import { humanBytes } from '../../core/human.ts';
import { parseWalKey, walPrefix } from '../../core/keys.ts';
import { formatLsn, parseLsn } from '../../core/lsn.ts';
import {
  chooseRecovery,
  describeTarget,
  type Recovery,
  type RecoveryTarget,
  reachableAlong,
} from '../../core/recovery-target.ts';
import { mostSearchedBytes, pointNamed, reachablePoints, tell } from '../../core/restore-points.ts';
import type { RestoreRequest } from '../../core/restore-request.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import { readArchive } from '../../core/wal-archive.ts';
import type { Clients } from '../clients.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { listKeys } from '../evidence.ts';
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
    const { recovery, note } = await plan(clients, settings, target);
    requireDatabase(recovery, request);
    return { input, description: describe(database, clients.region, target, recovery, note, input) };
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

interface Plan {
  readonly recovery: Recovery;
  /** What the lists alone do not tell; the task finds out before it fetches anything. */
  readonly note: string | null;
}

async function plan(clients: Clients, settings: DatabaseSettings, target: RecoveryTarget): Promise<Plan> {
  const store = { s3: clients.s3, bucket: settings.bucket };
  // As the task will: what cannot be read is no base backup to begin with.
  const backups = await listBaseBackups(store, settings, () => {});
  const wal = await listKeys(clients, settings.bucket, walPrefix(settings));
  const histories = new Map<number, string>();
  for (const key of wal) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  const archive = readArchive(wal, backups.at(-1)?.walSegmentBytes ?? 2 ** 24, histories);
  if (target.kind !== 'name' || backups.length === 0) {
    const recovery = chooseRecovery(target, backups, archive);
    return { recovery, note: target.kind === 'xid' ? noteOfTransaction(recovery) : null };
  }
  const known = reachablePoints(await readRestorePoints(store, settings), reachableAlong(target, backups, archive));
  const point = pointNamed(target.name, known);
  return {
    recovery: chooseRecovery(target, backups, archive, point?.lsn),
    note: point
      ? null
      : `No point of this name was written down; it is looked for in the WAL first. Nearest points: ${tell(known)}`,
  };
}

const noteOfTransaction = ({ backup, end }: Recovery): string =>
  end - parseLsn(backup.stopLsn) > mostSearchedBytes
    ? `Whether there is such a transaction, only the recovery tells: behind the base backup is more WAL than the ${humanBytes(Number(mostSearchedBytes))} that are looked through`
    : 'It is looked for in the WAL first';

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
  /** What is found out before anything is fetched, or by the recovery alone; null: nothing is left open. */
  readonly note: string | null;
  readonly input: { readonly database: string } & Partial<RestoreRequest>;
}

const describe = (
  database: string,
  region: string,
  target: RecoveryTarget,
  { backup, timeline, start, end }: Recovery,
  note: string | null,
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
  note,
  input: { database, ...input },
});

const render = ({ target, baseBackup, timeline, wal, note, input }: Description): string =>
  formatTable(
    ['Plan', ''],
    [
      ['Recover to', target],
      ...(note === null ? [] : [['Note', note]]),
      ['Base backup', `${baseBackup.id}, complete at ${baseBackup.stoppedAt}`],
      ...(baseBackup.parentId === null ? [] : [['Builds on', baseBackup.parentId]]),
      ['WAL', `timeline ${timeline}, stored from ${wal.from} to ${wal.to}`],
      ['Restore', input.tables?.join(', ') ?? input.schemas?.join(', ') ?? 'the whole database'],
      ['Into', `database ${input.toDatabase ?? 'of a new name'}${input.toSchema ? `, schema ${input.toSchema}` : ''}`],
    ],
  );
