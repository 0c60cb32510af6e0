import { join } from 'node:path';
import type { Client } from 'pg';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Manifest, ManifestObject } from '../lib/core/manifest.ts';
import { connect } from '../lib/postgres/connection.ts';
import type { EphemeralServer } from '../lib/postgres/ephemeral.ts';
import { firstError, startTool } from '../lib/postgres/tools.ts';
import { log, startProgress } from './log.ts';
import { checkObject, intoFile, intoTool, readObject } from './restore-stream.ts';

/**
 * Restores a logical backup into an empty server: globals → definitions → data in parallel → indexes and constraints
 * → materialized views → ANALYZE. Every object is read to its end and held against the manifest on the way.
 */
export async function restore(
  manifest: Manifest,
  store: ObjectStore,
  server: EphemeralServer,
  options: { directory: string; concurrency: number; signal: AbortSignal },
): Promise<void> {
  const { signal, concurrency } = options;
  const { tools } = server;
  const [database] = manifest.databases;
  if (!database) throw new PgdrError('ManifestInvalid', 'the manifest names no database');
  const only = (role: ManifestObject['role']): ManifestObject => {
    const object = manifest.objects.find((o) => o.role === role);
    if (!object) throw new PgdrError('ManifestInvalid', `the manifest lists no ${role} object`);
    return object;
  };

  await checkExtensions(server, database.extensions);

  const globals = join(options.directory, 'globals.sql');
  await readObject(store, only('globals'), intoFile(globals), signal);
  const psql = startTool(
    'psql',
    ['--no-psqlrc', '--quiet', '--dbname=postgres', `--file=${globals}`],
    tools,
    'RestoreFailed',
    { signal },
  );
  psql.process.stdin?.end();
  refuseErrors('globals', await psql.ended);

  const schema = join(options.directory, 'schema.dump');
  await readObject(store, only('schema'), intoFile(schema), signal);
  const pgRestore = async (step: string, args: string[], object?: ManifestObject) => {
    const tool = startTool('pg_restore', args, tools, 'RestoreFailed', { signal, accept: onlyAllowed });
    if (object) await readObject(store, object, intoTool(tool), signal);
    else tool.process.stdin?.end();
    refuseErrors(step, await tool.ended);
    log('restored', { step });
  };
  const into = `--dbname=${connectionString(database.name)}`;
  await pgRestore('definitions', ['--create', '--section=pre-data', '--no-tablespaces', '--dbname=postgres', schema]);

  const streams = manifest.objects
    .filter((object) => object.role === 'main' || object.role === 'table')
    .sort((a, b) => b.rawBytes - a.rawBytes);
  const progress = startProgress(
    'restore',
    streams.reduce((sum, o) => sum + o.rawBytes, 0),
  );
  try {
    const worker = async () => {
      for (let object = streams.shift(); object; object = streams.shift()) {
        // --data-only and not --section=data: it also makes the large objects, which are born before their data.
        await pgRestore(object.relation ?? 'data', ['--data-only', into], object);
        progress.add(object.rawBytes);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  } finally {
    progress.stop();
  }

  await pgRestore('indexes and constraints', [
    '--section=post-data',
    '--no-tablespaces',
    `--jobs=${concurrency}`,
    into,
    schema,
  ]);
  const client = await connect({ ...server.connection, dbname: database.name }, 'pgdr restore');
  try {
    await refreshMaterializedViews(client, manifest);
    await client.query('ANALYZE');
  } finally {
    await client.end().catch(() => {});
  }
  // The fingerprint is no archive, but L0 is about every object.
  await checkObject(store, only('fingerprint'), signal);
}

/** A restore without a needed extension fails half-way: look before the first table is made. */
async function checkExtensions(
  server: EphemeralServer,
  wanted: readonly { name: string; version: string }[],
): Promise<void> {
  const client = await connect(server.connection, 'pgdr extensions');
  try {
    const { rows } = await client.query('SELECT name FROM pg_available_extensions');
    const missing = wanted.filter(({ name }) => !rows.some((row) => row.name === name));
    if (missing.length === 0) return;
    const names = missing.map(({ name, version }) => `${name} ${version}`).join(', ');
    throw new PgdrError('ExtensionUnavailable', `PostgreSQL ${server.version} here does not have ${names}`);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Views may be made of one another: fill those that can be filled until none is left or none moves. */
async function refreshMaterializedViews(client: Client, manifest: Manifest): Promise<void> {
  // As pg_restore would: a view must not depend on who restores it.
  await client.query("SELECT pg_catalog.set_config('search_path', '', false)");
  let waiting = manifest.materializedViews.filter((view) => view.populated).map((view) => view.relation);
  while (waiting.length > 0) {
    const stuck: string[] = [];
    let reason = '';
    for (const relation of waiting) {
      try {
        await client.query(`REFRESH MATERIALIZED VIEW ${relation}`);
      } catch (error) {
        stuck.push(relation);
        reason = (error as Error).message;
      }
    }
    if (stuck.length === waiting.length) {
      throw new PgdrError('RestoreFailed', `materialized view ${stuck[0]} could not be filled: ${reason}`);
    }
    waiting = stuck;
  }
}

/** Errors that a restore into an empty server meets and that lose nothing; everything else fails it. */
const allowed: readonly RegExp[] = [
  /role "postgres" already exists/, // The ephemeral server's own superuser.
  /^pg_restore: (warning|hint|detail|from TOC entry)/i,
  /errors ignored on restore/,
];

const errorLines = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => /\berror:|^(psql:.*)?ERROR:/i.test(line) && !allowed.some((ok) => ok.test(line)));

const onlyAllowed = (stderr: string): boolean => errorLines(stderr).length === 0;

function refuseErrors(step: string, stderr: string): void {
  if (!onlyAllowed(stderr))
    throw new PgdrError('RestoreFailed', `${step}: ${firstError(errorLines(stderr).join('\n'))}`);
}

/** A database name that libpq cannot take for a connection string. */
const connectionString = (database: string): string =>
  /[= '\\]|^postgres(ql)?:\/\//.test(database) ? `dbname='${database.replace(/['\\]/g, '\\$&')}'` : database;
