import type { Client } from 'pg';
import type { PhysicalManifest } from '../core/physical-manifest.ts';
import { identifyServer, type ServerIdentity } from './catalog.ts';

/** What a base backup records of the server as a whole. */
export interface Cluster
  extends Pick<
    PhysicalManifest,
    'walSegmentBytes' | 'dataChecksums' | 'databases' | 'superusers' | 'limits' | 'preloadLibraries'
  > {
  readonly identity: ServerIdentity;
  /** Of everything, as the server estimates it. */
  readonly bytes: number;
  /** 17 and newer: whether the server keeps what incremental backups are made of. */
  readonly summarizesWal: boolean;
  readonly inRecovery: boolean;
}

/** A hot standby refuses to start with less; a recovery runs out of room with less. */
const limitNames = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

export async function describeCluster(client: Client): Promise<Cluster> {
  const identity = await identifyServer(client);
  const { rows } = await client.query(
    `SELECT (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS segment,
            current_setting('data_checksums') = 'on' AS checksums,
            coalesce(current_setting('summarize_wal', true) = 'on', false) AS summarizes,
            pg_is_in_recovery() AS standby,
            (SELECT json_object_agg(name, setting::int) FROM pg_settings WHERE name = ANY($1)) AS limits,
            (SELECT json_agg(rolname::text ORDER BY oid) FROM pg_roles WHERE rolsuper AND rolcanlogin) AS superusers,
            (SELECT json_agg(json_build_object('name', datname, 'bytes',
                      CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'MEMBER')
                           THEN pg_database_size(oid) ELSE 0 END) ORDER BY datname)
               FROM pg_database WHERE datallowconn AND NOT datistemplate) AS databases`,
    [limitNames],
  );
  const [row] = rows;
  return {
    identity,
    walSegmentBytes: Number(row.segment),
    dataChecksums: row.checksums,
    summarizesWal: row.summarizes,
    inRecovery: row.standby,
    limits: row.limits,
    superusers: row.superusers ?? [],
    databases: row.databases ?? [],
    bytes: (row.databases ?? []).reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0),
    preloadLibraries: await preloadLibraries(client),
  };
}

/** For members of pg_read_all_settings; empty for others. */
async function preloadLibraries(client: Client): Promise<string> {
  const { rows } = await client.query(`SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'`);
  return rows[0]?.setting ?? '';
}

/** Where the backup ended by the server's clock, and the oldest transaction that was still running then. */
export async function readBackupEnd(client: Client): Promise<{ at: string; oldestRunningXid: string }> {
  const { rows } = await client.query(
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
            pg_snapshot_xmin(pg_current_snapshot())::text AS "oldestRunningXid"`,
  );
  return rows[0];
}
