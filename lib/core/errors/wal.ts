import { entry } from './entry.ts';

/** Continuous WAL. */
export const walErrors = {
  ReceiverNotStreaming: entry(
    'backup-failed',
    'The WAL of this server is not being kept: its receiver does not stream, or no longer comes forward.',
    'Earlier backups are untouched. A base backup without its WAL cannot be restored, so none was committed.',
    'See that the receiver runs (its log, its replication slot in pg_replication_slots), then run again.',
  ),
  WalOtherServer: entry(
    'wal-lag',
    'The server is not the one whose WAL this lineage holds, or it is on a timeline older than what is stored.',
    'The stored WAL was kept as it was, and nothing of this server was added to it.',
    'Name another lineage for a new server or clone; if an old primary came back by mistake, stop it.',
  ),
  ServerManaged: entry(
    'configuration',
    'The server is Amazon RDS or Aurora: it takes no replication connections, so there are no base backups and no WAL of it.',
    'Logical backups and restore tests of it go on; nothing was changed.',
    "Set engine to 'rds' or 'aurora' and remove `physical`. For a moment in time use the service's own automated backups (aws rds restore-db-instance-to-point-in-time, restore-db-cluster-to-point-in-time).",
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
};
