import { earlierBackups, entry } from './entry.ts';

/** What the server that is backed up refuses, lacks, or does during a backup. */
export const sourceErrors = {
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
  BaseBackupFailed: entry(
    'backup-failed',
    'The server ended a base backup before it was complete.',
    earlierBackups,
    'Read its first error: the role needs REPLICATION, pg_hba.conf a line for replication, and max_wal_senders room for one more. Then run again.',
  ),
};
