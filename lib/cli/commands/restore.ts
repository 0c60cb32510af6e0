import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { getStream } from '../../aws/object-store.ts';
import { parseToc, type TocEntry } from '../../core/archive-toc.ts';
import { chooseAmong, databaseToRestore, firstComplete } from '../../core/backup-choice.ts';
import { PgdrError } from '../../core/errors.ts';
import { humanBytes } from '../../core/human.ts';
import { foldersOf } from '../../core/keys.ts';
import { type DatabaseBackup, parseManifest } from '../../core/manifest.ts';
import { objectOf, planRestore, type RestorePlan } from '../../core/restore-plan.ts';
import { newDatabaseName, parseRestoreRequest, type RestoreRequest } from '../../core/restore-request.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import type { Clients } from '../clients.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { listKeys, readObject } from '../evidence.ts';
import { formatTable } from '../output.ts';
import { fromBucket } from './from-bucket.ts';
import { restoreAt, targetOf } from './restore-at.ts';
import { givenOf, type RestoreOptions, showAndRun, worded } from './restore-run.ts';

/** `pgdr restore`: shows what will be read and where it goes, then starts the workflow and follows it. */
export async function restore(database: string, options: RestoreOptions): Promise<ExitCode> {
  const asked = requestOf(options);
  if (options.fromBucket !== undefined) return restoreFromBucket(database, asked, options);
  if (asked.at !== null) return restoreAt(database, asked, asked.at, options);
  const planned = async (clients: Clients, settings: DatabaseSettings) => {
    const chosen = await plan(clients, settings, asked);
    const input = givenOf(chosen.request);
    return { input, description: describe(database, clients.region, settings, chosen, input) };
  };
  return showAndRun(database, options, planned, render);
}

function restoreFromBucket(database: string, asked: RestoreRequest, options: RestoreOptions): Promise<ExitCode> {
  const { fromBucket: bucket } = options;
  if (bucket === undefined || asked.at !== null || options.dryRun) {
    throw new CliError('RequestInvalid', '--from-bucket is of backups: not with a point in time, and not --dry-run.', {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
    });
  }
  return fromBucket('restore', database, { ...options, fromBucket: bucket }, { request: asked });
}

function requestOf(options: RestoreOptions): RestoreRequest {
  const { toDatabase, overwrite } = options;
  if (overwrite !== undefined && toDatabase !== undefined && overwrite !== toDatabase) {
    throw new CliError(
      'RestoreTargetExists',
      `--overwrite ${overwrite} is not the name of the target, ${toDatabase}.`,
      {
        exit: exitCode.refused,
      },
    );
  }
  try {
    return parseRestoreRequest({
      backupId: options.backup ?? null,
      at: targetOf(options),
      fromDatabase: options.database ?? null,
      tables: options.table,
      schemas: options.schema,
      schemaOnly: options.schemaOnly ?? false,
      toDatabase: toDatabase ?? overwrite ?? null,
      toSchema: options.toSchema ?? null,
      targetSecret: options.targetSecret ?? null,
      overwrite: overwrite ?? null,
    });
  } catch (error) {
    throw worded(error);
  }
}

interface Planned {
  readonly manifest: DatabaseBackup;
  readonly plan: RestorePlan;
  readonly request: RestoreRequest & { readonly toDatabase: string };
}

async function plan(clients: Clients, settings: DatabaseSettings, asked: RestoreRequest): Promise<Planned> {
  const { targetSecret, backupId } = asked;
  const allowed = [settings.secret, ...settings.restore.targets.map(({ secret }) => secret)];
  if (targetSecret !== null && !allowed.includes(targetSecret)) {
    throw new PgdrError('RestoreTargetUnknown', `${targetSecret} is none of ${allowed.join(', ')}`);
  }
  const folders = foldersOf(settings, backupId);
  const keys = (await Promise.all(folders.map((folder) => listKeys(clients, settings.bucket, folder)))).flat();
  const choice = chooseAmong(keys, `s3://${settings.bucket}/${folders[0]}`, backupId);
  const { manifest: whole } = await firstComplete(choice, keys, backupId, async (key) =>
    parseManifest((await readObject(clients, settings.bucket, key)) ?? '', key),
  );
  const manifest = databaseToRestore(whole, asked.fromDatabase);
  const chosen = planRestore(manifest, await readToc(clients, settings.bucket, manifest), asked);
  const toDatabase = asked.toDatabase ?? newDatabaseName(manifest.name, new Date());
  // Nothing is left to be chosen later.
  const request = { ...asked, backupId: manifest.id, fromDatabase: manifest.name, toDatabase };
  return { manifest, plan: chosen, request };
}

/** What is in the backup; only the head of the smallest archive is read. */
async function readToc(clients: Clients, bucket: string, manifest: DatabaseBackup): Promise<TocEntry[]> {
  const object = objectOf(manifest, 'schema');
  const stored = await getStream({ s3: clients.s3, bucket }, object.key, { versionId: object.versionId });
  let head = Buffer.alloc(0);
  let tried = 0;
  for await (const chunk of Readable.from(stored).pipe(createZstdDecompress())) {
    head = Buffer.concat([head, chunk]);
    if (head.length < tried * 2) continue;
    tried = head.length;
    const toc = parseToc(head);
    if (toc) return toc;
  }
  const toc = parseToc(head);
  if (toc) return toc;
  throw new PgdrError('ArchiveUnreadable', `${object.key} ends before its table of contents does`);
}

/** What `--dry-run --json` prints; documented in docs/cli.md. */
interface Description {
  readonly ok: true;
  readonly dryRun: true;
  readonly database: string;
  readonly region: string;
  readonly backup: { readonly id: string; readonly database: string; readonly takenAt: string };
  readonly target: {
    readonly secret: string;
    readonly database: string;
    readonly schema: string | null;
    readonly overwrite: boolean;
  };
  readonly scope: RestorePlan['scope'];
  readonly schemaOnly: boolean;
  readonly tables: readonly string[];
  readonly objects: readonly { key: string; bytes: number; rawBytes: number }[];
  readonly bytes: number;
  readonly rawBytes: number;
  /** In words, what the backup is limited to; null: it is of everything. */
  readonly partial: string | null;
  readonly omitted: RestorePlan['omitted'];
  readonly input: { readonly database: string } & Partial<RestoreRequest>;
}

function describe(
  database: string,
  region: string,
  settings: DatabaseSettings,
  { manifest, plan: chosen, request }: Planned,
  input: Partial<RestoreRequest>,
): Description {
  const sum = (size: 'bytes' | 'rawBytes') => chosen.objects.reduce((total, object) => total + object[size], 0);
  return {
    ok: true,
    dryRun: true,
    database,
    region,
    backup: { id: manifest.id, database: manifest.name, takenAt: manifest.snapshot.takenAt },
    target: {
      secret: request.targetSecret ?? settings.secret,
      database: request.toDatabase,
      schema: request.toSchema,
      overwrite: request.overwrite !== null,
    },
    scope: chosen.scope,
    schemaOnly: chosen.schemaOnly,
    tables: chosen.tables,
    objects: chosen.objects.map(({ key, bytes, rawBytes }) => ({ key, bytes, rawBytes })),
    bytes: sum('bytes'),
    rawBytes: sum('rawBytes'),
    partial: chosen.partial,
    omitted: chosen.omitted,
    input: { database, ...input },
  };
}

function render({
  backup,
  target,
  scope,
  schemaOnly,
  partial,
  tables,
  objects,
  bytes,
  rawBytes,
  omitted,
}: Description): string {
  const what = { database: 'the whole database', schemas: 'schemas', tables: 'tables' }[scope];
  const rows = [
    ['Backup', `${backup.id}, database ${backup.database}, taken ${backup.takenAt}`],
    ...(partial === null ? [] : [['Partial', `the backup is not of everything: ${partial}`]]),
    ['Restore', `${what}${schemaOnly ? ', without rows' : ''}: ${tables.length} tables with rows`],
    ['Read', `${humanBytes(bytes)} stored (${humanBytes(rawBytes)} dumped) in ${objects.length} objects`],
    ['Into', `database ${target.database} of the server that secret ${target.secret} names`],
    ...(target.schema === null ? [] : [['Schema', target.schema]]),
    ...(target.overwrite ? [['Overwrite', `data in ${target.database} is replaced`]] : []),
    ...omitted.map((omission) => ['Left out', `${omission.what}: ${omission.why}`]),
  ];
  return formatTable(['Plan', ''], rows);
}
