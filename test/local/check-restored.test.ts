import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Context } from 'aws-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { type Host, startHost } from '../../local/host.ts';

/** The look at a server that AWS Backup has restored, by the function as it is and on a server as it is. */

const region = 'eu-north-1';
const run = openRunDirectory(join(workDirectory, 'rehearse'), `check-restored-${process.pid}`);
const before = { ...process.env };
let host: Host;
let server: PostgresServer;
let check: (source: string) => Promise<unknown>;

const sql = async (text: string) => {
  const client = await server.connect('ledger');
  await client.query(text);
  await client.end();
};

beforeAll(async () => {
  mkdirSync(run.path, { recursive: true });
  host = await startHost({ directory: join(run.path, 'cloud'), regions: [region] });
  host.add(createSecretsManager(host.world));
  server = await startPostgres({ bin: providePostgres(() => {}).bin, directory: join(run.path, 'server') });
  const admin = await server.connect('postgres');
  await admin.query('CREATE DATABASE ledger');
  await admin.end();
  const { user: username, password } = server.superuser;
  // As the secret of the server that the recovery point was taken of: it names another host.
  const secret = {
    host: 'ledger-1.abc.rds.example',
    port: 1,
    username,
    password,
    dbname: 'ledger',
    sslmode: 'disable',
  };
  const client = new SecretsManagerClient(host.client(region));
  await client.send(new CreateSecretCommand({ Name: 'ledger/primary', SecretString: JSON.stringify(secret) }));
  const assertions = ['SELECT count(*) > 0 FROM entries', { database: 'other', sql: 'SELECT false' }];
  Object.assign(process.env, host.environment(region), {
    DATABASES: JSON.stringify([{ database: 'ledger', secret: 'ledger/primary', assertions }]),
  });
  const { handler } = await import('../../lambdas/check-restored.ts');
  check = (source) => handler({ source, host: server.host, port: server.port }, {} as Context);
});
afterAll(async () => {
  process.env = before;
  await server?.stop();
  await host?.close();
  run.close();
});

it('is no proof where the server is nobody’s, or holds nothing', async () => {
  await expect(check('orders-1')).rejects.toMatchObject({ name: 'UnknownDatabase' });
  await expect(check('ledger-1')).rejects.toMatchObject({ name: 'StructureDiffers' });
});

it('is none where an assertion does not hold', async () => {
  await sql('CREATE TABLE entries (id int PRIMARY KEY)');
  await expect(check('ledger-1')).rejects.toMatchObject({ name: 'AssertionFailed' });
});

it('says what was seen where all is well', async () => {
  await sql('INSERT INTO entries VALUES (1)');
  expect(await check('ledger-1')).toEqual({
    message: expect.stringMatching(/^ledger: \d+ tables, 1 assertions hold, every index is valid$/),
  });
});

it('is none where an index is invalid', async () => {
  await sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'entries_pkey'::regclass");
  await expect(check('ledger-1')).rejects.toMatchObject({ name: 'IndexCorrupt' });
});
