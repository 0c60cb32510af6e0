/**
 * The one catalogue of errors. A name here is what an operator sees in the Step Functions console, in Slack and
 * on the command line, and what a state machine's `ErrorEquals` may list. Every entry says what was left intact
 * and what to try, so that the message can be pasted into an incident.
 */
interface CatalogueEntry {
  /** What it means, in one sentence. */
  readonly meaning: string;
  readonly intact: string;
  readonly tryNext: string;
  /** The page in docs/runbooks that continues from here. */
  readonly runbook:
    | 'backup-failed'
    | 'restore-test-failed'
    | 'restore'
    | 'configuration'
    | 'retention-failed'
    | 'encryption-key-refused'
    | 'wal-gap'
    | 'wal-lag'
    | 'primary-down';
}

const entry = (
  runbook: CatalogueEntry['runbook'],
  meaning: string,
  intact: string,
  tryNext: string,
): CatalogueEntry => ({ meaning, intact, tryNext, runbook });

const earlierBackups = 'Earlier backups are untouched; this attempt left no manifest, so no restore can pick it up.';
const nothingStarted = 'Nothing was started and nothing was written.';
const backupStands = 'The source and every stored object are untouched; only what was being restored is lost.';

const nothingMoved = 'The writer, its name and its epoch are as they were.';
const pointPassed = 'The old writer is fenced; nothing that the new one acknowledged is at stake.';

export const errorCatalogue = {
  InputInvalid: entry(
    'configuration',
    'The input of the execution names no database.',
    nothingStarted,
    'Start it with {"database": "orders"}, with the name of the database as in pgdr.config.ts.',
  ),
  UnknownDatabase: entry(
    'configuration',
    'No settings are deployed for this database in this region.',
    nothingStarted,
    'Check the name against pgdr.config.ts and deploy the database stack, then start again.',
  ),
  PhysicalNotConfigured: entry(
    'configuration',
    'This database has no base backups and no WAL of its own: its configuration has no `physical`.',
    nothingStarted,
    'For a server that you run yourself, add physical: {} to the database in pgdr.config.ts and deploy. RDS and Aurora refuse replication connections: recover them with their own automated backups.',
  ),
  SettingsInvalid: entry(
    'configuration',
    'The deployed settings of this database cannot be read.',
    nothingStarted,
    'Deploy the database stack again with this version of pgdr.',
  ),
  SecretUnusable: entry(
    'configuration',
    'The secret that names the database connection is missing, unreadable or not in the expected shape.',
    nothingStarted,
    'Store {"host","port","username","password","dbname"} under the secret that pgdr.config.ts names.',
  ),
  DatabaseAuthenticationFailed: entry(
    'backup-failed',
    'The server refused the user or password of the secret.',
    earlierBackups,
    'Correct the secret, or the password and pg_hba.conf of the server, then run the backup again.',
  ),
  DatabaseUnreachable: entry(
    'backup-failed',
    'No connection to the server could be made, or it was lost.',
    earlierBackups,
    'Check the host and port of the secret, security groups and routes from the task subnets, and that the server runs.',
  ),
  PostgresMajorMismatch: entry(
    'backup-failed',
    'The PostgreSQL tools of the task are not of the same major version as the server.',
    earlierBackups,
    'Set `version` of this database in pgdr.config.ts to the major of the server (`restoreTest.version` and the targets of restores: to that or a newer one) and deploy.',
  ),
  DatabaseMissing: entry(
    'backup-failed',
    'The server has no database of a name that is to be backed up.',
    earlierBackups,
    'Correct logical.databases in pgdr.config.ts, or the dbname of the secret; or create the database.',
  ),
  SelectionEmpty: entry(
    'backup-failed',
    'A name that the backup is to include is that of nothing in the database.',
    earlierBackups,
    'Correct logical.include in pgdr.config.ts, or what the execution was asked to select: docs/selection.md.',
  ),
  TableNotReadable: entry(
    'backup-failed',
    'The backup role may not read everything that it has to dump.',
    earlierBackups,
    'GRANT pg_read_all_data to the role (PostgreSQL 14 or newer), or grant SELECT on what is named, then run again.',
  ),
  BackupIncomplete: entry(
    'backup-failed',
    'Preflight found content that a dump would silently leave out.',
    earlierBackups,
    'Grant what is missing, or list the kind under logical.allowSkipped to accept the loss knowingly. With a selection: exclude what is named too, or keep what it needs.',
  ),
  DumpFailed: entry(
    'backup-failed',
    'pg_dump or pg_dumpall ended before its archive was complete.',
    earlierBackups,
    'Read its first error; a killed process points to memory. Then run again.',
  ),
  TableLocked: entry(
    'backup-failed',
    'A table stayed locked, by an ALTER TABLE say, for longer than the backup may wait (logical.lockTimeout).',
    earlierBackups,
    'Let the session that the message names end, or end it with pg_terminate_backend, then run again. DDL that takes long belongs outside of the hour of the backup.',
  ),
  SourceChanged: entry(
    'backup-failed',
    'A session of the backup, or the snapshot that everything in it shares, was lost before the backup was complete.',
    earlierBackups,
    'Look for a restart, an idle_in_transaction_session_timeout or a cancelled session on the server, then run again.',
  ),
  AncestorMissing: entry(
    'restore',
    'A base backup is an increment, and a backup that it builds on is missing, was not verified, or has lost an object.',
    nothingStarted,
    'Recover from an earlier base backup (a point in time before this one chooses it by itself), and take a full one now: pgdr base-backup <database> --full.',
  ),
  ReceiverNotStreaming: entry(
    'backup-failed',
    'The WAL of this server is not being kept: its receiver does not stream, or no longer comes forward.',
    'Earlier backups are untouched. A base backup without its WAL cannot be restored, so none was committed.',
    'See that the receiver runs (its log, its replication slot in pg_replication_slots), then run again.',
  ),
  BaseBackupFailed: entry(
    'backup-failed',
    'The server ended a base backup before it was complete.',
    earlierBackups,
    'Read its first error: the role needs REPLICATION, pg_hba.conf a line for replication, and max_wal_senders room for one more. Then run again.',
  ),
  StorageRefused: entry(
    'backup-failed',
    'S3 refused a request, after retries.',
    earlierBackups,
    'Check the S3 status, the role and key policies of the bucket, then run again.',
  ),
  CredentialsExpired: entry(
    'backup-failed',
    'The credentials of the role of a task have ended, and it got no new ones.',
    earlierBackups,
    'Look whether the role and its trust in ecs-tasks.amazonaws.com still exist, deploy the stack of the database, then run again.',
  ),
  EncryptionKeyRefused: entry(
    'encryption-key-refused',
    'KMS refused the use of the key that this database is encrypted with before it is stored.',
    'No stored object was changed; a backup left no manifest, and a restore removed nothing.',
    'Read what KMS says: a key that is disabled or due for deletion can be had back, a policy that denies can be corrected, an alias that is missing is made by deploying the key stack of this region.',
  ),
  EncryptionContextDiffers: entry(
    'encryption-key-refused',
    'An encrypted object was written for another database, backup or key than the one it lies under.',
    'Nothing of it was used; all stored objects are as they were.',
    'Treat it as tampering: use another backup, and look in the access log for who wrote the object.',
  ),
  DecryptionFailed: entry(
    'encryption-key-refused',
    'An encrypted object has the hash of the manifest, but cannot be decrypted to its end.',
    'Nothing of the frame that failed was used; all stored objects are as they were.',
    'Treat object and manifest as altered together: use another backup, and find out who wrote to the bucket.',
  ),
  ManifestConflict: entry(
    'backup-failed',
    'An object that is written once exists already with other content.',
    'The existing object was kept as it was.',
    'Treat it as tampering until explained: compare the two versions before anything is deleted.',
  ),
  RetentionPlanStale: entry(
    'retention-failed',
    'The plan of what may be removed is too old, or was only meant to be looked at.',
    'Nothing more was removed; what an earlier batch removed is marked as deleted and can be brought back.',
    'Start retention again: it makes a new plan.',
  ),
  TaskUnresponsive: entry(
    'backup-failed',
    'The task stopped sending heartbeats, or ran over its time limit, and was stopped.',
    earlierBackups,
    'Read the last lines of its log; look at memory and network of the task, then run again.',
  ),
  ExecutionOver: entry(
    'backup-failed',
    'The execution that started this task ended without it; the task stopped itself before committing anything.',
    earlierBackups,
    'Nothing to do for this task; see why the execution ended.',
  ),
  TaskFailed: entry(
    'backup-failed',
    'The task could not be started or died without naming an error.',
    earlierBackups,
    'Read stoppedReason and the log of the task: image, role, subnets and memory are the usual causes.',
  ),
  BackupNotFound: entry(
    'restore-test-failed',
    'No backup with a manifest exists for this database.',
    nothingStarted,
    'Run a backup first, or check database, lineage and region.',
  ),
  ManifestInvalid: entry(
    'restore-test-failed',
    'The manifest is not one that pgdr wrote.',
    'Nothing was changed.',
    'Use another backup, and treat the object as altered until explained.',
  ),
  ObjectMissing: entry(
    'restore-test-failed',
    'An object that the manifest lists is not in the bucket.',
    'The manifest and all other objects are as they were.',
    'Use another backup; look for deletions in the access log. Deleted versions are recoverable while they are locked.',
  ),
  ObjectTruncated: entry(
    'restore-test-failed',
    'An object is shorter or longer than the manifest says.',
    'The manifest and all other objects are as they were.',
    'Use another backup or the object version that the manifest names, and find out who wrote to the bucket.',
  ),
  ObjectAltered: entry(
    'restore-test-failed',
    'The bytes of an object do not have the hash that the manifest recorded.',
    'The manifest and all other objects are as they were.',
    'Use another backup or the object version that the manifest names, and find out who wrote to the bucket.',
  ),
  ArchiveUnreadable: entry(
    'restore-test-failed',
    'An archive has the right hash but cannot be read to its end.',
    backupStands,
    'Take a new backup now; this one never held what it should.',
  ),
  EphemeralServerFailed: entry(
    'restore-test-failed',
    'The throwaway PostgreSQL server of the restore could not start, died, or had no disk left.',
    backupStands,
    'Give the task more storage or memory, by the size of the restored database: restoreTest.task in pgdr.config.ts; deploy, and run again.',
  ),
  ExtensionUnavailable: entry(
    'restore-test-failed',
    'The backup needs an extension that the restoring server does not have.',
    backupStands,
    'Add the package of the extension to the task image (tasks/Dockerfile) and deploy.',
  ),
  RestoreFailed: entry(
    'restore-test-failed',
    'pg_restore or psql met an error.',
    backupStands,
    'Read its first error; restore the newest backup whose proof holds if you need one now.',
  ),
  StructureDiffers: entry(
    'restore-test-failed',
    'The restored database lacks objects or rows that the source had in the snapshot of the backup.',
    backupStands,
    'See the proof report for what differs; do not rely on this backup until explained.',
  ),
  ContentDiffers: entry(
    'restore-test-failed',
    'The content of a restored table is not what the source had in the snapshot of the backup.',
    backupStands,
    'See the proof report for the tables; do not rely on this backup until explained.',
  ),
  IndexCorrupt: entry(
    'restore-test-failed',
    'An index or a table of the restored database is damaged, as amcheck or REINDEX found.',
    backupStands,
    'Run the restore test again: if the same index fails, look at its operator class and collation; if another, at the disk of the task.',
  ),
  AssertionFailed: entry(
    'restore-test-failed',
    'An SQL assertion of the configuration does not hold in the restored database.',
    backupStands,
    'Run it against the source: false there too, it is the data or the assertion that is wrong; true there, do not rely on this backup until explained.',
  ),
  RecoveryTargetUnreachable: entry(
    'restore',
    'The point in time that was asked for cannot be recovered from what is stored.',
    nothingStarted,
    'Ask for one of the nearest points that the message names; `pgdr window` lists all of them.',
  ),
  RecoveryAborted: entry(
    'restore',
    'The recovery needed WAL that could not be read, and was ended instead of being taken for complete.',
    backupStands,
    'Run it again when the store answers. If a segment is altered or lacking, choose a point in time before it.',
  ),
  RecoveryFailed: entry(
    'restore',
    'PostgreSQL did not recover to the point in time that was asked for.',
    backupStands,
    'Read the first error of the server; try another backup, or a point a little earlier.',
  ),
  RequestInvalid: entry(
    'restore',
    'What was asked of a backup or a restore cannot be done as it was asked.',
    nothingStarted,
    'Correct the request: `pgdr backup --help`, `pgdr restore --help`, docs/cli.md.',
  ),
  DatabaseNotInBackup: entry(
    'restore',
    'The backup holds no database of this name.',
    nothingStarted,
    'Take one of those that it holds, or another backup: `pgdr list` shows both.',
  ),
  TableNotInBackup: entry(
    'restore',
    'The backup holds no such table or schema.',
    nothingStarted,
    'Write the name as PostgreSQL does, schema.table, with double quotes where it needs them; or take another backup.',
  ),
  RestoreTargetUnknown: entry(
    'restore',
    'The secret of the target is none that restores of this database may use.',
    nothingStarted,
    'Add it to restore.targets of the database in pgdr.config.ts and deploy.',
  ),
  RestoreTargetExists: entry(
    'restore',
    'Where the restore would write, there is data already.',
    'Nothing was changed in the target.',
    'Choose another name with --to-database or --to-schema, or type the name of the target database after --overwrite.',
  ),
  RestoreNotPermitted: entry(
    'restore',
    'The role of the secret may not do what the restore needs.',
    'Nothing was changed in the target.',
    'Name the secret of a role that may create databases: --target-secret, and restore.targets in pgdr.config.ts.',
  ),
  RestoreRolledBack: entry(
    'restore',
    'A restore into a database with other data failed, and all of it was rolled back.',
    'The target database is as it was before, and so is the backup.',
    'Read the first error. What depends on a table that is to be replaced has to be dropped by you; or restore into a new database.',
  ),
  RestoreIncomplete: entry(
    'restore',
    'A restore ended before it was done.',
    'The backup and all other databases are untouched; a database made for the restore carries the comment "pgdr: incomplete restore of …".',
    'Mend what the message says and run the same command with the same --to-database again: a marked database is removed and made anew. Or drop it.',
  ),
  WalOtherServer: entry(
    'wal-lag',
    'The server is not the one whose WAL this lineage holds, or it is on a timeline older than what is stored.',
    'The stored WAL was kept as it was, and nothing of this server was added to it.',
    'Name another lineage for a new server or clone; if an old primary came back by mistake, stop it.',
  ),
  WalServerBehind: entry(
    'wal-lag',
    'The server has less WAL than is stored of it already, on the same timeline.',
    'The stored WAL was kept as it was.',
    'It was restored from a snapshot or lost its disk cache: promote it onto a timeline of its own, or name another lineage.',
  ),
  WalConflict: entry(
    'wal-gap',
    'WAL of the server differs from what is stored for the same place on the same timeline.',
    'The stored WAL was kept as it was; what differs was not stored.',
    'Two servers write on one timeline: find out which of them is the database, stop the other, and give it another lineage.',
  ),
  WalGap: entry(
    'wal-gap',
    'Part of the WAL is missing in the store.',
    'Everything up to the gap can be restored, and everything from the next base backup on.',
    'Take a base backup now if none was started; see when WAL was removed before it was received.',
  ),
  FailoverInProgress: entry(
    'primary-down',
    'Another failover, failback or drill of this database is at work.',
    nothingMoved,
    'Follow the execution that it names. One that crashed gives its lease up after ten minutes; redrive it, or start again then.',
  ),
  FailoverSuperseded: entry(
    'primary-down',
    'Another execution has taken over the role item from this one.',
    'What the other execution does stands; this one stopped before its next step.',
    'Follow the execution that it names.',
  ),
  FailoverAborted: entry(
    'primary-down',
    'Somebody aborted before the point of no return.',
    'The writer is as it was; what a fence had stopped is started again.',
    'Nothing, if it was meant; otherwise start again.',
  ),
  FailoverRefused: entry(
    'primary-down',
    'The evidence forbids a promotion, whoever wants it.',
    nothingMoved,
    'Mend the standby that the reasons name; without one, restore a backup: docs/restores.md.',
  ),
  FailoverNotRunning: entry(
    'primary-down',
    'Nothing of this database is under way that could be approved or aborted.',
    nothingMoved,
    'Look at the executions of failover in the recovery region.',
  ),
  ApprovalDenied: entry(
    'primary-down',
    'The approval was refused, or nobody gave it in time.',
    nothingMoved,
    'Start again when it is wanted.',
  ),
  FenceUnproven: entry(
    'primary-down',
    'No configured fence could be proven, so the old primary might still accept writes.',
    'Nothing was promoted; the writer is as it was.',
    'Make sure by yourself that the old primary is off, then start again with --attest and what you saw.',
  ),
  PastNoReturn: entry(
    'primary-down',
    'The point of no return is passed: from here on there is only forward.',
    pointPassed,
    'Let it end. To go back, use failback afterwards.',
  ),
  PromotionFailed: entry(
    'primary-down',
    'The standby did not leave recovery in time, though it was asked again and again.',
    'The old writer is fenced; nothing accepts writes.',
    'Read the log of the standby, mend what it says, and redrive the execution: it goes on from here.',
  ),
  WriteNotVerified: entry(
    'primary-down',
    'The standby is promoted, but a write through the name of the database did not arrive there.',
    pointPassed,
    'Look at the name and its health check; applications may use the host of the standby meanwhile. Then redrive.',
  ),
  OldPrimaryWritable: entry(
    'primary-down',
    'The old primary accepts writes beside the new one.',
    'Every write that the new primary acknowledged stands.',
    'Stop the old primary now, keep its data directory, and compare what only it has.',
  ),
  StandbyUnusable: entry(
    'primary-down',
    'The server that is to take over does not stream, or lags too far behind.',
    nothingMoved,
    'See the replication-lag runbook; then start again.',
  ),
  RejoinFailed: entry(
    'primary-down',
    'The old primary could not be made a standby of the new one.',
    'The writer is untouched, and so is the evidence that was kept of the old data directory.',
    'Read the log of its agent, mend what it says, and start failback again.',
  ),
  Unexpected: entry(
    'backup-failed',
    'A failure that the catalogue does not know.',
    earlierBackups,
    'Read the cause and the log; report it together with both.',
  ),
} satisfies Record<string, CatalogueEntry>;

export type ErrorName = keyof typeof errorCatalogue;

export const isErrorName = (name: string): name is ErrorName => Object.hasOwn(errorCatalogue, name);

/** What a failure looks like outside a process: the cause of a failed task, a message, a report. */
export interface Failure {
  readonly error: ErrorName;
  /** What happened, in one line, with the first error of the tool that failed. */
  readonly message: string;
  readonly intact: string;
  readonly tryNext: string;
  /** Path of the runbook in this repository. */
  readonly runbook: string;
}

/** An error of the catalogue. `message` says what happened here; the catalogue adds what is intact and what to try. */
export class PgdrError extends Error {
  override readonly name: ErrorName;

  constructor(name: ErrorName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
  }
}

/** The catalogue's words around one occurrence. */
export function describeFailure(name: ErrorName, message: string): Failure {
  const { intact, tryNext, runbook } = errorCatalogue[name];
  return { error: name, message: firstLines(message), intact, tryNext, runbook: `docs/runbooks/${runbook}.md` };
}

/** Any thrown value as a failure: catalogue errors keep their name, everything else is `Unexpected`. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof PgdrError) return describeFailure(thrown.name, thrown.message);
  return describeFailure('Unexpected', thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown));
}

/** A state's error is capped by Step Functions (cause: 32,768 characters), and a person reads only the beginning. */
const firstLines = (text: string): string => (text.length > 2000 ? `${text.slice(0, 2000)} …` : text);
