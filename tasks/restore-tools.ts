import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import { type ArchiveHead, parseHead, parseToc, replaceCopies, type TocEntry } from '../lib/core/archive-toc.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup, ManifestObject } from '../lib/core/manifest.ts';
import { type DataObject, objectOf } from '../lib/core/restore-plan.ts';
import type { Connection } from '../lib/postgres/connection.ts';
import { type RunningTool, startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';
import { log } from './log.ts';
import { copyRows, onlyTable } from './restore-rows.ts';
import { intoFile, intoTool, readObject, readVolumes } from './restore-stream.ts';

/** The server that is restored into, and PostgreSQL's programs for it. */
export interface TargetServer {
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly version: string;
}

export interface RestoreOptions {
  /** For the archive of the definitions and lists of entries; never for data. */
  readonly directory: string;
  readonly concurrency: number;
  readonly signal: AbortSignal;
}

/**
 * Starts psql or pg_restore. No error is allowed: into an empty server nothing has to be forgiven, and both exit with
 * other than 0 for any error (psql because it is told to stop at the first).
 */
export const startRestoring = (
  program: 'psql' | 'pg_restore',
  args: readonly string[],
  tools: ToolEnvironment,
  signal: AbortSignal,
): RunningTool =>
  startTool(program, program === 'psql' ? ['--set=ON_ERROR_STOP=1', ...args] : args, tools, 'RestoreFailed', {
    signal,
  });

/** Waits for the end. Throws `RestoreFailed` with the program's first error. */
export async function finish(step: string, tool: RunningTool): Promise<void> {
  await tool.ended;
  log('restored', { step });
}

/** Runs pg_restore on an archive that is a file. */
export async function restoreFile(
  step: string,
  args: readonly string[],
  { tools }: TargetServer,
  signal: AbortSignal,
): Promise<void> {
  const tool = startRestoring('pg_restore', args, tools, signal);
  tool.process.stdin?.end();
  await finish(step, tool);
}

/** The definitions of a backup as a file, with what is in it. */
export interface Definitions {
  readonly path: string;
  readonly toc: readonly TocEntry[];
}

export async function fetchDefinitions(
  manifest: DatabaseBackup,
  store: ObjectStore,
  { directory, signal }: RestoreOptions,
): Promise<Definitions> {
  const object = objectOf(manifest, 'schema');
  const path = join(directory, 'schema.dump');
  let head = Buffer.alloc(0);
  let toc: TocEntry[] | undefined;
  async function* remember(source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      if (!toc) head = Buffer.concat([head, chunk]);
      yield chunk;
    }
  }
  await readObject(store, object, (source) => intoFile(path)(remember(source)), signal);
  toc = parseToc(head);
  if (!toc) throw endsEarly(object);
  return { path, toc };
}

/** Writes the entries to be restored where pg_restore finds them; gives the option that names the file. */
export async function useList(directory: string, name: string, ids: readonly number[]): Promise<string> {
  const path = join(directory, `${name}.list`);
  await writeFile(path, ids.map((id) => `${id};\n`).join(''), { mode: 0o600 });
  return `--use-list=${path}`;
}

/** A database that this restore has made, and what it makes of the COPY statements for its tables. */
interface FreshDatabase {
  readonly database: string;
  readonly copyAs: (entry: TocEntry, statement: string) => string;
}

/**
 * One archive of rows into pg_restore, or into a fresh database without it. `choose` says which entries of the archive are
 * wanted (null: all of them), once the table of contents has been read; it is read to its end and held against the
 * manifest in any case.
 */
export async function restoreObject(
  object: DataObject,
  store: ObjectStore,
  server: TargetServer,
  options: RestoreOptions,
  args: readonly string[],
  choose: (toc: readonly TocEntry[]) => readonly number[] | null,
  { fresh, consumeOutput }: { fresh?: FreshDatabase; consumeOutput?: (tool: RunningTool) => Promise<void> } = {},
): Promise<void> {
  const step = object.relation ?? 'data';
  let tool: RunningTool | undefined;
  await readVolumes(
    store,
    object.volumes,
    async (source) => {
      const { toc, length, head, rest } = await readHead(object, source);
      const ids = choose(toc);
      const table = fresh && onlyTable(toc, ids);
      if (table) {
        const statements = fresh.copyAs(table, table.copy?.text ?? '');
        const rows = resume(head.subarray(length), rest);
        return copyRows(table, statements, toc, rows, server, fresh.database, options.signal);
      }
      const list = ids && [await useList(options.directory, `data-${listNumber++}`, ids)];
      tool = startRestoring('pg_restore', [...args, ...(list ?? [])], server.tools, options.signal);
      const all = resume(fresh ? replaceCopies(head, toc, fresh.copyAs) : head, rest);
      await Promise.all([intoTool(tool)(all), consumeOutput?.(tool)]);
    },
    options.signal,
  );
  if (tool) await finish(step, tool);
}

let listNumber = 0;

/** Reads the beginning of a stream as far as the table of contents goes, and gives the rest of it too. */
async function readHead(
  object: ManifestObject,
  source: AsyncIterable<Buffer>,
): Promise<ArchiveHead & { head: Buffer; rest: AsyncIterator<Buffer> }> {
  const chunks: Buffer[] = [];
  const iterator = source[Symbol.asyncIterator]();
  let length = 0;
  for (let tried = 0; ; ) {
    const { done, value } = await iterator.next();
    if (!done) {
      chunks.push(value);
      length += value.length;
    }
    // Reading it from its start each time costs little when it is done at twice the length each time.
    if (!done && length < tried * 2) continue;
    tried = length;
    const head = Buffer.concat(chunks);
    const parsed = parseHead(head);
    if (parsed) return { ...parsed, head, rest: iterator };
    if (done) throw endsEarly(object);
  }
}

async function* resume(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

const endsEarly = ({ key }: ManifestObject) =>
  new PgdrError('ArchiveUnreadable', `${key} ends before its table of contents does`);
