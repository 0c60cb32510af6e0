import type { Client } from 'pg';
import type { ReplicationFacts, StandbyFacts } from '../core/doctor/replication.ts';
import type { ContentFacts, ServerFacts } from '../core/doctor/server.ts';
import { PgdrError } from '../core/errors.ts';
import type { Selection } from '../core/selection.ts';
import { describeDatabase } from './catalog.ts';
import { type Connection, connect } from './connection.ts';
import { checkContent } from './preflight.ts';
import { openReplication } from './replication.ts';
import { resolveSelection } from './selection.ts';
import { readSlot } from './slot.ts';

/** What `pgdr doctor` asks a server. It reads the catalogue alone: nothing is written, no table is touched. */

export async function readServer(client: Client, connection: Connection): Promise<ServerFacts> {
  const { rows } = await client.query(`
    SELECT current_setting('server_version_num')::int AS "versionNum",
           current_user AS role,
           r.rolsuper OR r.rolreplication AS "isReplication",
           coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS tls,
           coalesce(inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1', true) AS loopback,
           r.rolsuper OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_catalog.pg_roles
                                    WHERE rolname = 'pg_read_all_data'), false) AS "readsAll",
           (SELECT coalesce(json_agg(name), '[]') FROM pg_catalog.pg_available_extensions) AS available
      FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`);
  return { ...rows[0], sslmode: connection.sslmode };
}

/** One database of the server, looked at as the preflight of a backup would. */
export async function readContent(
  connection: Connection,
  name: string,
  selection: Selection,
  allowSkipped: readonly string[],
): Promise<ContentFacts> {
  const client = await connect({ ...connection, dbname: name }, 'pgdr doctor');
  try {
    const { extensions } = await describeDatabase(client);
    try {
      await checkContent(client, name, await resolveSelection(client, selection), allowSkipped);
      return { name, extensions, refusal: undefined };
    } catch (error) {
      if (!(error instanceof PgdrError)) throw error;
      return { name, extensions, refusal: { error: error.name, message: error.message } };
    }
  } finally {
    await client.end().catch(() => {});
  }
}

export async function readReplication(connection: Connection, slotName: string): Promise<ReplicationFacts> {
  const client = await connect(connection, 'pgdr doctor');
  try {
    const { rows } = await client.query(`
      SELECT current_setting('server_version_num')::int AS "versionNum",
             current_user AS role,
             (SELECT rolsuper OR rolreplication FROM pg_catalog.pg_roles WHERE rolname = current_user) AS "isReplication",
             current_setting('wal_level') AS "walLevel",
             current_setting('max_wal_senders')::int AS "maxWalSenders",
             (SELECT count(*)::int FROM pg_catalog.pg_stat_replication) AS "walSenders",
             current_setting('max_replication_slots')::int AS "maxSlots",
             (SELECT count(*)::int FROM pg_catalog.pg_replication_slots) AS slots,
             current_setting('max_slot_wal_keep_size') AS "maxSlotWalKeepSize",
             current_setting('summarize_wal', true)::bool AS "summarizeWal",
             current_setting('data_checksums')::bool AS "dataChecksums",
             current_setting('wal_log_hints')::bool AS "walLogHints"`);
    const [row] = rows;
    return {
      ...row,
      summarizeWal: row.summarizeWal ?? undefined,
      slot: await readSlot(client, slotName),
      replicationProblem: row.isReplication ? await tryReplication(connection) : undefined,
    };
  } finally {
    await client.end().catch(() => {});
  }
}

/** pg_hba.conf has lines of its own for replication: only an attempt shows what they say. */
async function tryReplication(connection: Connection): Promise<string | undefined> {
  try {
    const replication = await openReplication(connection, 'pgdr doctor');
    try {
      await replication.identify();
      return undefined;
    } finally {
      await replication.close();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

export async function readStandby(client: Client): Promise<StandbyFacts & { role: string }> {
  const { rows } = await client.query(`
    SELECT current_user AS role,
           pg_catalog.pg_is_in_recovery() AS "inRecovery",
           current_setting('hot_standby')::bool AS "hotStandby",
           (SELECT status FROM pg_catalog.pg_stat_wal_receiver) AS receiver,
           current_setting('wal_log_hints')::bool AS "walLogHints",
           current_setting('data_checksums')::bool AS "dataChecksums"`);
  return { ...rows[0], receiver: rows[0].receiver ?? undefined };
}
