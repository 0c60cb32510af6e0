import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../../lib/cli/clients.ts';
import { listBackups } from '../../lib/cli/commands/list.ts';
import { readSettings } from '../../lib/cli/deployed.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { synthesize, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { scheduleName } from '../../lib/config/names.ts';
import type { Outcome, WorkflowFailure } from '../../lib/core/outcome.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';

/** Twelve databases on three servers come due at once; one server is down, and its four databases hold nobody back. */

const region = 'eu-north-1';
const system = 'fleet';
const databases = Array.from({ length: 12 }, (_, i) => `shop-${i + 1}`);
const serverOf = (i: number) => Math.floor(i / 4);
const down = 2;

const undo: (() => Promise<unknown>)[] = [];
let cloud: Cloud;
let clients: Clients;

beforeAll(async () => {
  const postgres = providePostgres(() => {});
  const run = openRunDirectory(join(workDirectory, 'rehearse'), `fleet-${process.pid}`);
  undo.push(async () => run.close());
  mkdirSync(run.path, { recursive: true });
  const { directory: assembly } = await synthesize(join(import.meta.dirname, 'fleet.config.ts'), {
    PGDR_REHEARSE_MAJOR: String(postgres.major),
  });
  cloud = await startCloud({ assembly, directory: join(run.path, 'cloud'), containerPath: () => [postgres.bin] });
  undo.push(() => cloud.close());
  clients = createClients(cloud.client(region));
  undo.push(async () => clients.close());
  const servers: PostgresServer[] = [];
  for (const name of ['a', 'b', 'c']) {
    const server = await startPostgres({ bin: postgres.bin, directory: join(run.path, name) });
    undo.push(() => server.stop());
    servers.push(server);
  }
  for (const [i, database] of databases.entries()) {
    const server = servers[serverOf(i)] as PostgresServer;
    const admin = await server.connect('postgres');
    await admin.query(`CREATE DATABASE "${database}"`);
    await admin.end();
    const client = await server.connect(database);
    await client.query(
      `CREATE TABLE sales AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, ${1000 + i}) g`,
    );
    await client.end();
    const { user: username, password } = server.superuser;
    const { host, port } = server;
    const SecretString = JSON.stringify({ host, port, username, password, dbname: database, sslmode: 'disable' });
    await clients.secrets.send(new CreateSecretCommand({ Name: `${database}/primary`, SecretString }));
  }
  await servers[down]?.stop();
});
afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

it('those whose server is there are backed up and verified, the others say which server is not', async () => {
  const started = await Promise.all(
    databases.map((database) => cloud.scheduler.fire(region, scheduleName(system, database, 'backup-logical'))),
  );
  const ends = await Promise.all(
    started.map(({ executionArn }) => followExecution(clients.sfn, executionArn as string, { interval: 500 })),
  );
  const begun = ends.map(({ execution }) => execution.startDate?.getTime() ?? 0);
  const ended = ends.map(({ execution }) => execution.stopDate?.getTime() ?? 0);
  // All of them ran at once: the last had begun before the first was over.
  expect(Math.max(...begun)).toBeLessThan(Math.min(...ended));

  for (const [i, database] of databases.entries()) {
    const { execution } = ends[i] as (typeof ends)[number];
    if (serverOf(i) === down) {
      expect(execution.status, database).toBe('FAILED');
      const failure = JSON.parse(execution.cause ?? '') as WorkflowFailure;
      expect(failure.error).toBe('DatabaseUnreachable');
      continue;
    }
    expect(execution.status, `${database}: ${execution.cause}`).toBe('SUCCEEDED');
    const { backup } = JSON.parse(execution.output ?? '') as Outcome;
    expect(backup?.databases).toEqual([database]);
  }
  // Each has its own and nobody else's.
  for (const [i, database] of databases.entries()) {
    const listed = await listBackups(clients, await readSettings(clients, system, database));
    expect(listed.map(({ databases: of, verifiedAt }) => [of, verifiedAt !== null])).toEqual(
      serverOf(i) === down ? [] : [[[database], true]],
    );
  }
});
