import { backupStands, entry, nothingStarted } from './entry.ts';

/** Restores and their proof. */
export const restoreErrors = {
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
  RestoreNotProven: entry(
    'restore-test-failed',
    'What AWS Backup restored for a test could not be shown to be sound.',
    'The recovery point and the server that it was taken of.',
    'Read the validation message of the restore job; run the restore testing plan again, and look at the log of check-restored.',
  ),
  IndexCorrupt: entry(
    'restore-test-failed',
    'An index or a table of the restored database is damaged, as amcheck or REINDEX found.',
    backupStands,
    'Run the restore test again: if the same index fails, look at its operator class and collation; if another, at the disk of the task.',
  ),
  IndexesInvalid: entry(
    'restore',
    'Indexes of the restored database are not valid, which were valid in the source, and could not be mended.',
    'The backup and all other databases are untouched; the rows of the restored database are those of the backup, and it carries the comment "pgdr: incomplete restore of …".',
    'Drop and create the indexes that the message names, and use the database; or run the same command again, which makes it anew.',
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
};
