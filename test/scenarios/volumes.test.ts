import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { getStream, type ObjectStore } from '../../lib/aws/object-store.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import type { DataObject } from '../../lib/core/restore-plan.ts';
import { type ToolEnvironment, toolEnvironment } from '../../lib/postgres/tools.ts';
import { storeDump } from '../../tasks/dump-stream.ts';
import { restoreObject } from '../../tasks/restore-tools.ts';
import { type S3Server, startS3 } from '../local/s3-server.ts';

/** A dump that is longer than one object may be, in volumes of 300 kB instead of 64 GiB. */

const { bin } = providePostgres(() => {});
const { signal } = new AbortController();
let directory: string;
let server: PostgresServer;
let s3: S3Server;
let store: ObjectStore;
let tools: ToolEnvironment;
let volumes: Awaited<ReturnType<typeof storeDump>>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'volumes-'));
  chmodSync(directory, 0o755);
  process.env.PATH = `${bin}:${process.env.PATH}`;
  [server, s3] = await Promise.all([startPostgres({ bin, directory: join(directory, 'server') }), startS3()]);
  s3.bucket('backups', { VersioningConfiguration: { Status: 'Enabled' } });
  store = { s3: s3.client(), bucket: 'backups' };
  const client = await server.connect('postgres');
  await client.query('CREATE TABLE long (id int, text text)');
  // The restore finds the table made, as after the definitions.
  await client.query('CREATE DATABASE restored TEMPLATE postgres');
  await client.query(`INSERT INTO long SELECT g, repeat(md5(g::text), g % 40) FROM generate_series(1, 3000) g`);
  await client.end();
  tools = await toolEnvironment(connectionTo('postgres'), directory);
  volumes = await storeDump(
    {
      role: 'table',
      relation: 'public.long',
      key: 'tables/1.dump.zst',
      program: 'pg_dump',
      args: ['--format=custom', '--compress=0', '--data-only', '--table=long'],
    },
    store,
    tools,
    { zstdLevel: 1, signal, onRawBytes: () => {}, onWarning: () => {}, volumeBytes: 300_000 },
  );
}, 60_000);
afterAll(async () => {
  await Promise.all([server?.stop(), s3?.close()]);
  rmSync(directory, { recursive: true, force: true });
});

const connectionTo = (dbname: string) => ({
  host: server.host,
  port: server.port,
  username: server.superuser.user,
  password: server.superuser.password,
  dbname,
  sslmode: 'disable' as const,
});

const content = async (database: string): Promise<unknown> => {
  const client = await server.connect(database);
  const { rows } = await client.query('SELECT count(*), sum(hashtext(t::text)) AS hash FROM long t');
  await client.end();
  return rows[0];
};

it('a long dump is in several objects, none longer than a volume', async () => {
  expect(volumes.map(({ key, volume }) => [key, volume]).slice(0, 3)).toEqual([
    ['tables/1.dump.zst', undefined],
    ['tables/1.2.dump.zst', 2],
    ['tables/1.3.dump.zst', 3],
  ]);
  expect(volumes.slice(0, -1).every(({ rawBytes }) => rawBytes === 300_000)).toBe(true);
  expect(volumes.length).toBeGreaterThan(5);
});

it('its volumes, each decompressed by itself, are one stock archive', async () => {
  const pieces: Buffer[] = [];
  for (const { key } of volumes) {
    pieces.push(zstdDecompressSync(Buffer.concat(await Array.fromAsync(await getStream(store, key)))));
  }
  const script = execFileSync('pg_restore', ['--file=-'], {
    input: Buffer.concat(pieces),
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  expect(script).toContain('COPY public.long (id, text) FROM stdin;');
  expect(script.split('\n').filter((line) => /^\d+\t/.test(line))).toHaveLength(3000);
});

/** What a plan makes of the volumes. */
const archive = (): DataObject => ({ ...(volumes[0] as DataObject), volumes });

it('a restore reads them as one, straight into COPY and through pg_restore', async () => {
  const target = {
    connection: connectionTo('restored'),
    tools: { env: { ...tools.env, PGDATABASE: 'restored' } },
    version: '',
  };
  const options = { directory, concurrency: 1, signal };
  const restoreTo = (fresh: boolean) =>
    restoreObject(
      archive(),
      store,
      target,
      options,
      ['--data-only', '--dbname=restored'],
      (toc) => toc.filter(({ kind }) => kind === 'TABLE DATA').map(({ id }) => id),
      fresh ? { fresh: { database: 'restored', copyAs: (_, statement) => `TRUNCATE public.long; ${statement}` } } : {},
    );
  await restoreTo(true);
  expect(await content('restored')).toEqual(await content('postgres'));
  await restoreTo(true);
  expect(await content('restored')).toEqual(await content('postgres'));
  await restoreTo(false);
  expect((await content('restored')) as { count: string }).toMatchObject({ count: '6000' });
});

it.each([
  ['missing at the end', 'ArchiveUnreadable', () => volumes.slice(0, -1)],
  ['of another backup', 'ObjectAltered', () => volumes.map((v, i) => (i === 2 ? { ...v, sha256: '0'.repeat(64) } : v))],
])('a volume that is %s fails the restore, and no row stays', async (_, error, those) => {
  const before = await content('restored');
  const restoring = restoreObject(
    { ...archive(), volumes: those() },
    store,
    { connection: connectionTo('restored'), tools, version: '' },
    { directory, concurrency: 1, signal },
    [],
    (toc) => toc.filter(({ kind }) => kind === 'TABLE DATA').map(({ id }) => id),
    { fresh: { database: 'restored', copyAs: (_, statement) => `TRUNCATE public.long; ${statement}` } },
  );
  await expect(restoring).rejects.toMatchObject({ name: error });
  expect(await content('restored')).toEqual(before);
});
