import { join } from 'node:path';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { upgradeSecret } from '../../lib/cli/rehearse/rehearsal.ts';
import { findMajor } from '../../lib/cli/setup/postgres-binaries.ts';
import { type RestoreRuns, startRestoreRuns } from '../local/restore-runs.ts';

/** Restores into servers of another major, by the tools of that major. */
const pairs = [
  [15, 18],
  [17, 15],
] as const;
const absent = [15, 17, 18].filter((major) => !findMajor(major));
const missing = `MISSING JUDGE: PostgreSQL ${absent.join(' and ')}, so nothing was judged here. Try: node bin/majors.mjs`;

if (absent.length > 0) {
  test(missing, ({ skip }) => {
    if (process.env.CI) throw new Error(missing);
    console.warn(`\n${missing}\n`);
    skip();
  });
}

describe.runIf(absent.length === 0).each(pairs)('a backup of PostgreSQL %i into a server of %i', (from, to) => {
  let runs: RestoreRuns;
  let server: PostgresServer;
  let client: Client;

  beforeAll(async () => {
    const [postgres, restorePostgres] = [findMajor(from), findMajor(to)];
    if (!postgres || !restorePostgres) throw new Error(missing);
    runs = await startRestoreRuns(`restore-${from}-${to}`, 2_000_000, { postgres, restorePostgres });
    await runs.backup();
    server = await startPostgres({ bin: restorePostgres.bin, directory: join(runs.rehearsal.directory, 'newer') });
    const { user: username, password } = server.superuser;
    const { host, port } = server;
    const secret = JSON.stringify({ host, port, username, password, sslmode: 'disable' });
    await runs.rehearsal.clients.secrets.send(new CreateSecretCommand({ Name: upgradeSecret, SecretString: secret }));
    client = await server.connect('postgres');
  });
  afterAll(async () => {
    await client?.end();
    await server?.stop();
    await runs?.stop();
  });

  if (from > to) {
    test('is refused, for it is older', async () => {
      const { failure } = await runs.restore({ targetSecret: upgradeSecret });
      expect(failure).toMatchObject({
        error: 'PostgresMajorMismatch',
        message: expect.stringContaining('an older one'),
      });
      expect((await client.query('SELECT count(*)::int AS n FROM pg_database')).rows[0].n).toBe(3);
    });
    return;
  }

  test('brings all of it, equal to the manifest', async () => {
    const { failure, summary } = await runs.restore({ targetSecret: upgradeSecret, toDatabase: 'newer' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ toDatabase: 'newer', omitted: [] });
    const copy = await server.connect('newer');
    const counts =
      'SELECT (SELECT count(*)::int FROM customers) AS customers, (SELECT count(*)::int FROM orders) AS orders';
    expect((await copy.query(counts)).rows).toEqual(await runs.sql('orders', counts));
    await copy.end();
  });

  test('brings a table complete, and puts it into a database with others', async () => {
    for (const tables of [['public.customers'], ['public.orders']]) {
      const { failure } = await runs.restore({ targetSecret: upgradeSecret, tables, toDatabase: 'tables' });
      expect(failure).toBeUndefined();
    }
    const copy = await server.connect('tables');
    const { rows } = await copy.query(
      `SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'f'`,
    );
    expect(rows).toEqual([{ conname: 'orders_customer_id_fkey' }]);
    await copy.end();
  });
});
