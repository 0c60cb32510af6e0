import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { PgdrError } from '../lib/core/errors.ts';
import { type Clone, startClone } from '../lib/postgres/clone.ts';
import { type Cluster, describeCluster } from '../lib/postgres/cluster.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { conninfo } from '../lib/postgres/conninfo.ts';
import { startTool, toolEnvironment } from '../lib/postgres/tools.ts';
import { disarm } from './fetch-base.ts';
import { log } from './log.ts';

/**
 * A throwaway replica of a standby: copied from it, fed by it, cut off from it at one position of the WAL. The standby
 * serves a base backup and a stream, as it would for any replica, and nothing is changed on it.
 */
export interface Copy {
  readonly source: Connection;
  readonly cluster: Cluster;
  readonly home: string;
  readonly data: string;
  readonly seconds: number;
}

/** Under this name the standby shows who copies from it and follows it. */
const applicationName = 'pgdr_drill';

/** @throws PgdrError DrillNotPossible */
export async function copyStandby(source: Connection, directory: string, signal: AbortSignal): Promise<Copy> {
  const client = await connect(source, applicationName);
  let cluster: Cluster;
  let tablespaces: readonly { oid: string; location: string }[];
  try {
    cluster = await describeCluster(client);
    if (!cluster.inRecovery) throw new PgdrError('DrillNotPossible', `${source.host} is no standby: it accepts writes`);
    const { rows } = await client.query(
      `SELECT oid::text, pg_tablespace_location(oid) AS location FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''`,
    );
    tablespaces = rows;
  } finally {
    await client.end().catch(() => {});
  }
  const home = join(directory, 'replica');
  const data = join(home, 'data');
  await mkdir(home, { recursive: true, mode: 0o700 });
  const tools = await toolEnvironment(source, directory);
  const began = performance.now();
  const tool = startTool(
    'pg_basebackup',
    [
      `--pgdata=${data}`,
      '--wal-method=stream',
      '--checkpoint=fast',
      '--no-sync',
      '--no-password',
      ...tablespaces.map(({ oid, location }) => {
        const escaped = location.replaceAll('=', '\\=');
        return `--tablespace-mapping=${escaped}=${join(home, 'tablespaces', oid)}`;
      }),
    ],
    { env: { ...tools.env, PGAPPNAME: applicationName } },
    'DrillNotPossible',
    { signal },
  );
  tool.process.stdin?.end();
  tool.process.stdout?.resume();
  await tool.ended;
  await disarm(data);
  const seconds = (performance.now() - began) / 1000;
  log('standby copied', { seconds, bytes: cluster.bytes });
  return { source, cluster, home, data, seconds };
}

/** Starts the copy and lets it follow up to, and not beyond, a position; then it stands still. */
export async function startReplica(
  { source, cluster, home, data }: Copy,
  directory: string,
  lsn: string,
  { timeoutSeconds, signal }: { timeoutSeconds: number; signal: AbortSignal },
): Promise<Clone> {
  const { env } = await toolEnvironment(source, directory);
  return startClone({
    data,
    home,
    standby: true,
    recovery: {
      primary_conninfo: conninfo(source, {
        passfile: env.PGPASSFILE,
        sslrootcert: env.PGSSLROOTCERT,
        application_name: applicationName,
      }),
      wal_retrieve_retry_interval: '500ms',
      recovery_target_lsn: lsn,
      recovery_target_inclusive: 'off',
      recovery_target_action: 'pause',
      // Milliseconds since the epoch before each line: see promotionSeconds.
      log_line_prefix: '%n ',
      // A promotion is measured: it is to cost what it costs a server that means it.
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
    },
    limits: cluster.limits,
    superusers: cluster.superusers,
    major: Math.floor(cluster.identity.serverVersionNum / 10_000),
    walFailure: () => undefined,
    timeoutSeconds,
    signal,
  });
}

/** @throws PgdrError DrillNotPossible when it does not get there in time */
export async function reach(client: Client, lsn: string, seconds: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    signal.throwIfAborted();
    const { rows } = await client.query(
      'SELECT pg_last_wal_replay_lsn()::text AS at, pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
      [lsn],
    );
    if (rows[0].there) return;
    if (performance.now() > deadline)
      throw new PgdrError(
        'DrillNotPossible',
        `the replica is at ${rows[0].at} and did not reach ${lsn} in ${seconds} s`,
      );
    await sleep(100);
  }
}

/**
 * From the moment at which recovery saw the request to promote to the one at which writes are taken, by the server's log.
 * Recovery that stands still looks for the request once a second: that wait is the drill's, and none of a failover's.
 */
export function promotionSeconds(log: string): number | undefined {
  const [, asked] = /^(\d+\.\d+) .*received promote request/m.exec(log) ?? [];
  const [, ready] = /^(\d+\.\d+) .*database system is ready to accept connections/m.exec(log) ?? [];
  return asked === undefined || ready === undefined ? undefined : Math.max(0, Number(ready) - Number(asked));
}
