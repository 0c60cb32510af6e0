import type { ObjectStore } from '../lib/aws/object-store.ts';
import { readSecret } from '../lib/aws/secret.ts';
import { databaseToRestore } from '../lib/core/backup-choice.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup } from '../lib/core/manifest.ts';
import type { RestoreSummary } from '../lib/core/outcome.ts';
import { type Omission, planRestore, type RestorePlan } from '../lib/core/restore-plan.ts';
import { newDatabaseName, parseRestoreRequest, type RestoreRequest, shorten } from '../lib/core/restore-request.ts';
import type { Selection } from '../lib/core/restore-selection.ts';
import { parseConnection } from '../lib/postgres/connection.ts';
import { openBackupStore } from './backup-store.ts';
import { chooseBackup } from './choose-backup.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';
import { checkExtensions, fillDatabase, withClient } from './restore.ts';
import * as databases from './restore-database.ts';
import { createMissingRoles, fetchGlobals } from './restore-globals.ts';
import { requireValidIndexes } from './restore-indexes.ts';
import { copySchema, restoreInto } from './restore-into.ts';
import { claimDatabase, hostOf, openTarget, requireCreateDatabase, type Target } from './restore-target.ts';
import { type Definitions, fetchDefinitions, type RestoreOptions } from './restore-tools.ts';
import { verifyDatabase } from './restore-verify.ts';

/**
 * Restores a backup, or a part of it, into a server that is used: into a new database, in the place of one whose name
 * was typed, or into one beside its other data. See docs/restores.md for the ways and what each of them leaves when
 * it is interrupted.
 */
export async function restoreJob(context: JobContext): Promise<RestoreSummary> {
  const { settings, directory, signal } = context;
  const began = Date.now();
  const request = parseRestoreRequest(context.input.request);
  const secret = secretOf(context, request);
  const connection = parseConnection(await readSecret(secret), secret);
  const store = await openBackupStore(settings);
  const chosen = await chooseBackup(store, settings, request.backupId);
  const manifest = databaseToRestore(chosen.manifest, request.fromDatabase);
  log('backup chosen', { backup: manifest.id, database: manifest.name, objects: manifest.objects.length });

  const options = { directory, signal, concurrency: settings.logical.concurrency };
  const target = await openTarget(connection, manifest, directory);
  try {
    const definitions = await fetchDefinitions(manifest, store, options);
    const plan = planRestore(manifest, definitions.toc, request);
    const name = request.toDatabase ?? request.overwrite ?? newDatabaseName(manifest.name, new Date(began));
    const work: Work = { context, request, manifest, plan, definitions, store, target, name, options };
    const { rows, omitted, replaced } = await restoreTo(work);
    return {
      backupId: manifest.id,
      fromDatabase: manifest.name,
      partial: plan.partial,
      takenAt: manifest.snapshot.takenAt,
      host: hostOf(target),
      toDatabase: name,
      toSchema: request.toSchema,
      scope: plan.scope,
      schemaOnly: plan.schemaOnly,
      tables: plan.tables.length,
      rows,
      objects: plan.objects.length,
      bytes: plan.objects.reduce((sum, object) => sum + object.bytes, 0),
      taskSeconds: (Date.now() - began) / 1000,
      replaced,
      omitted: omitted.slice(0, mostOmissions),
      moreOmitted: Math.max(0, omitted.length - mostOmissions),
    };
  } finally {
    await target.close();
  }
}

/** An output of a state has room for more, a message has not. */
const mostOmissions = 50;

interface Work {
  readonly context: JobContext;
  readonly request: RestoreRequest;
  readonly manifest: DatabaseBackup;
  readonly plan: RestorePlan;
  readonly definitions: Definitions;
  readonly store: ObjectStore;
  readonly target: Target;
  /** Name of the target database. */
  readonly name: string;
  readonly options: RestoreOptions;
}

interface Done {
  readonly rows: string;
  readonly omitted: readonly Omission[];
  readonly replaced: boolean;
}

function secretOf({ settings }: JobContext, { targetSecret }: RestoreRequest): string {
  if (targetSecret === null || targetSecret === settings.secret) return settings.secret;
  if (settings.restore.targets.some(({ secret }) => secret === targetSecret)) return targetSecret;
  throw new PgdrError(
    'RestoreTargetUnknown',
    `restores of ${settings.database} may not use the secret ${targetSecret}`,
  );
}

/** Everything that can be refused is refused before the first change. */
async function restoreTo(work: Work): Promise<Done> {
  const { request, manifest, plan, target, name, options, store, context } = work;
  const state = await claimDatabase(target, name);
  const beside = state === 'filled' && plan.selection !== null;
  if (state === 'filled' && !beside && request.overwrite !== name) {
    throw new PgdrError('RestoreTargetExists', `database ${name} on ${hostOf(target)} holds data`);
  }
  if (!beside || request.toSchema !== null) await requireCreateDatabase(target);
  await checkExtensions(target, manifest.extensions);
  await context.stillWanted();
  const globals = await fetchGlobals(manifest, store, options);
  await createMissingRoles(globals, target.control).catch((error) => refused('roles could not be made', error));

  if (beside) {
    const replaced = request.overwrite === name && request.toSchema === null;
    const { rows, omitted } = await (request.toSchema === null
      ? restoreInto(name, plan as RestorePlan & { selection: Selection }, manifest, work.definitions, store, target, {
          ...options,
          overwrite: replaced,
          lockTimeoutSeconds: context.settings.logical.lockTimeoutSeconds,
          stillWanted: context.stillWanted,
        }).catch((error) => {
          options.signal.throwIfAborted();
          throw failure(error, 'RestoreRolledBack', `database ${name} is as it was`);
        })
      : besideRenamed(work, request.toSchema));
    return { rows, omitted, replaced };
  }
  if (state !== 'filled') {
    return { ...(await makeDatabase(work, name, state)), replaced: false };
  }
  const fresh = sibling(name, 'replacing');
  const made = await makeDatabase(work, fresh, await claimDatabase(target, fresh));
  await databases.replaceDatabase(target.control, name, fresh, sibling(name, 'replaced'));
  return { ...made, replaced: true };
}

/** A name of pgdr's own beside a database: the same in each attempt, so that the next one finds what the last left. */
const sibling = (name: string, purpose: string): string => `${shorten(name, 45)}_pgdr_${purpose}`;

/** Makes a database, marked as incomplete until its content was compared with the manifest. */
async function makeDatabase(
  work: Work,
  name: string,
  state: databases.DatabaseState,
): Promise<Pick<Done, 'rows' | 'omitted'>> {
  const { manifest, plan, definitions, store, target, options, request } = work;
  const { control } = target;
  if (state === 'filled')
    throw new PgdrError('RestoreTargetExists', `database ${name} on ${hostOf(target)} holds data`);
  if (state === 'incomplete') await databases.dropDatabase(control, name);
  if (state !== 'empty') {
    const made = databases.createDatabase(control, definitions.toc, name);
    await made.catch((error) => refused(`database ${name} could not be made`, error));
  }
  await databases.markIncomplete(control, name, manifest.id);
  log('database made', { name, before: state });
  try {
    await fillDatabase(name, plan, manifest, definitions, store, target, options);
    const rows = await verifyDatabase(target, name, manifest, plan.tables);
    log('content compared', { tables: plan.tables.length, rows });
    const invalid = await withClient(target, name, async (client) => {
      const left = await requireValidIndexes(client, definitions.toc, plan, manifest);
      if (request.toSchema !== null) await databases.renameSchema(client, schemaOf(plan), request.toSchema);
      if (plan.selection === null) {
        await databases.describeDatabase(client, definitions.toc, name, { comment: false });
      }
      return left;
    });
    await work.context.stillWanted();
    await databases.markRestored(control, name, manifest.id, manifest.snapshot.takenAt);
    return { rows, omitted: [...plan.omitted, ...invalid] };
  } catch (error) {
    options.signal.throwIfAborted();
    throw failure(error, 'RestoreIncomplete', `database ${name} is left, marked as incomplete`);
  }
}

/** Another schema name in a database with other data: by way of a database of its own, where it can be renamed. */
async function besideRenamed(work: Work, schema: string): Promise<Pick<Done, 'rows' | 'omitted'>> {
  const { target, name, plan, manifest, options } = work;
  const there = await withClient(target, name, (client) =>
    client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]),
  );
  if (there.rowCount) throw new PgdrError('RestoreTargetExists', `database ${name} has a schema ${schema}`);
  const staging = sibling(name, 'staging');
  const { omitted } = await makeDatabase(work, staging, await claimDatabase(target, staging));
  const rows = await copySchema(staging, schema, name, plan, manifest, target, {
    ...options,
    stillWanted: work.context.stillWanted,
  }).catch((error) => {
    options.signal.throwIfAborted();
    throw failure(error, 'RestoreRolledBack', `database ${name} is as it was, ${staging} can be dropped`);
  });
  await databases.dropDatabase(target.control, staging);
  return { rows, omitted };
}

/** The one schema of what was asked for. */
function schemaOf(plan: RestorePlan): string {
  const schemas = new Set(
    plan.selection?.chosen.filter(({ kind }) => kind.endsWith('TABLE')).map((entry) => entry.schema),
  );
  const [schema] = schemas;
  if (schema !== undefined && schemas.size === 1) return schema;
  throw new PgdrError(
    'RequestInvalid',
    `another schema name needs one schema, not ${[...schemas].join(', ') || 'none'}`,
  );
}

/** SQLSTATE 42501 is a privilege that the role of the secret lacks. */
function refused(what: string, error: Error & { code?: string }): never {
  const name = error.code === '42501' ? 'RestoreNotPermitted' : 'RestoreFailed';
  throw new PgdrError(name, `${what}: ${error.message}`, { cause: error });
}

/** Failures of the server and its tools get the name of what they left; those of stored objects keep their own. */
function failure(error: unknown, name: PgdrError['name'], left: string): PgdrError {
  const own = error instanceof PgdrError ? error.name : 'Unexpected';
  if (own.startsWith('RestoreTarget') || own === 'RequestInvalid') return error as PgdrError;
  const ofServer = ['RestoreFailed', 'DatabaseUnreachable', 'DatabaseAuthenticationFailed', 'Unexpected'];
  const message = `${(error as Error).message}; ${left}`;
  return new PgdrError(ofServer.includes(own) ? name : own, message, { cause: error });
}
