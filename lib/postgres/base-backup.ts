import type pg from 'pg';
import { PgdrError } from '../core/errors.ts';
import { type BaseBackupMessage, baseBackupMessages } from './base-backup-query.ts';

/** A base backup as the server sends it: archives one after another, then the manifest. */

export interface BaseBackupOptions {
  readonly label: string;
  /** PostgreSQL major of the server. */
  readonly major: number;
  /** zstd level of the server's own compression (15 and newer, where built with it); null sends plain tar. */
  readonly serverZstdLevel: number | null;
  /** 17 and newer: sends what has changed since the backup whose manifest was uploaded on this connection. */
  readonly incremental?: boolean;
}

export interface Tablespace {
  readonly oid: string;
  readonly location: string;
}

export interface BaseBackupArchive {
  /** `base`, the oid of a tablespace, or `manifest`. */
  readonly name: string;
  readonly content: AsyncIterable<Buffer>;
}

export interface BaseBackupResult {
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly timeline: number;
  readonly tablespaces: readonly Tablespace[];
}

export function baseBackupCommand({ label, major, serverZstdLevel, incremental }: BaseBackupOptions): string {
  const quoted = `'${label.replaceAll("'", "''")}'`;
  // 13 and 14 know words instead of a list.
  if (major < 15) return `BASE_BACKUP LABEL ${quoted} PROGRESS FAST NOWAIT TABLESPACE_MAP MANIFEST 'yes'`;
  const options = [
    `LABEL ${quoted}`,
    "TARGET 'client'",
    'PROGRESS true',
    "CHECKPOINT 'fast'",
    // Neither in the archive nor waited for at the server: the receiver brings the WAL, and the caller waits for it.
    'WAL false',
    'WAIT false',
    'TABLESPACE_MAP true',
    "MANIFEST 'yes'",
    ...(serverZstdLevel === null ? [] : ["COMPRESSION 'zstd'", `COMPRESSION_DETAIL 'level=${serverZstdLevel}'`]),
    ...(incremental ? ['INCREMENTAL true'] : []),
  ];
  return `BASE_BACKUP (${options.join(', ')})`;
}

/**
 * Runs a base backup; `store` is called for one archive after another and has to read each to its end. Errors of the
 * server are `BaseBackupFailed`.
 *
 * @param onProgress bytes of the cluster that were read so far, before compression
 */
export async function runBaseBackup(
  client: pg.Client,
  options: BaseBackupOptions,
  store: (archive: BaseBackupArchive) => Promise<void>,
  onProgress: (bytes: number) => void = () => {},
): Promise<BaseBackupResult> {
  const messages = named(baseBackupMessages(client, baseBackupCommand(options)));
  const rows: (readonly (string | null)[])[][] = [];
  const tablespaces = () => (rows[1] ?? []).flatMap(([oid, location]) => (oid && location ? [{ oid, location }] : []));
  // Up to 14 the archives are not named: they come in the order of the second result, and the manifest last.
  const oldNames = () => [...(rows[1] ?? []).map(([oid]) => oid ?? 'base'), 'manifest'];
  const read = options.major < 15 ? readOld(messages, oldNames) : readNew(messages, onProgress);

  // Pulled from end to end: the store reads from the server's stream itself, up to the next archive.
  const parts = read[Symbol.asyncIterator]();
  let next = await parts.next();
  async function* content(): AsyncGenerator<Buffer> {
    for (next = await parts.next(); !next.done && next.value.type === 'data'; next = await parts.next()) {
      yield next.value.bytes;
    }
  }
  try {
    while (!next.done) {
      const part = next.value;
      if (part.type === 'archive') {
        await store({ name: part.name, content: content() });
        continue;
      }
      if (part.type === 'row') rows[part.result] = [...(rows[part.result] ?? []), part.values];
      next = await parts.next();
    }
  } finally {
    await parts.return?.(undefined);
  }
  const [startLsn, timeline] = rows[0]?.[0] ?? [];
  const [stopLsn] = rows[2]?.[0] ?? [];
  if (!startLsn || !stopLsn || !timeline) {
    throw new PgdrError('BaseBackupFailed', 'the server ended the base backup without saying where it ends');
  }
  return { startLsn, stopLsn, timeline: Number(timeline), tablespaces: tablespaces() };
}

type Part = Extract<BaseBackupMessage, { type: 'row' | 'data' }> | { readonly type: 'archive'; readonly name: string };

/** Since 15: each message begins with a letter, `n` for a new archive, `m` for the manifest, `d` data, `p` progress. */
async function* readNew(
  messages: AsyncIterable<BaseBackupMessage>,
  onProgress: (bytes: number) => void,
): AsyncGenerator<Part> {
  // Progress counts within a tablespace.
  let before = 0;
  let last = 0;
  for await (const message of messages) {
    if (message.type === 'row') yield message;
    if (message.type !== 'data') continue;
    const { bytes } = message;
    const kind = String.fromCharCode(bytes[0] ?? 0);
    if (kind === 'd') yield { type: 'data', bytes: bytes.subarray(1) };
    else if (kind === 'n') {
      before += last;
      last = 0;
      yield { type: 'archive', name: archiveName(bytes.toString('utf8', 1, bytes.indexOf(0, 1))) };
    } else if (kind === 'm') yield { type: 'archive', name: 'manifest' };
    else if (kind === 'p') {
      last = Number(bytes.readBigUInt64BE(1));
      onProgress(before + last);
    } else throw new PgdrError('BaseBackupFailed', `the server sent a message of an unknown kind, ${kind}`);
  }
}

async function* readOld(
  messages: AsyncIterable<BaseBackupMessage>,
  names: () => readonly string[],
): AsyncGenerator<Part> {
  let archives = 0;
  for await (const message of messages) {
    if (message.type === 'copy') yield { type: 'archive', name: names()[archives++] ?? 'manifest' };
    else yield message;
  }
}

/** `base.tar.zst` → `base`. */
const archiveName = (file: string): string => file.slice(0, file.indexOf('.tar'));

async function* named(messages: AsyncIterable<BaseBackupMessage>): AsyncGenerator<BaseBackupMessage> {
  try {
    yield* messages;
  } catch (error) {
    throw new PgdrError('BaseBackupFailed', (error as Error).message, { cause: error });
  }
}
