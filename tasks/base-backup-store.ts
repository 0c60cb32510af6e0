import { Readable } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import type pg from 'pg';
import { type ObjectStore, putStream } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { partBytesFor } from '../lib/core/keys.ts';
import type { PhysicalObject } from '../lib/core/physical-manifest.ts';
import { type BaseBackupArchive, type BaseBackupResult, runBaseBackup } from '../lib/postgres/base-backup.ts';
import { connectForBackup, uploadManifest } from '../lib/postgres/base-backup-query.ts';
import type { Cluster } from '../lib/postgres/cluster.ts';
import type { Connection } from '../lib/postgres/connection.ts';
import { log, startProgress } from './log.ts';
import { readObject } from './restore-stream.ts';

/** A base backup on its way from the server into objects: nothing touches the disk. */

export interface BaseBackupWork {
  readonly connection: Connection;
  readonly cluster: Cluster;
  readonly store: ObjectStore;
  /** The folder of the backup. */
  readonly prefix: string;
  readonly id: string;
  /** `backup_manifest` of the backup that this one is to be an increment to; without it, a full one. */
  readonly parentManifest?: PhysicalObject;
  readonly signal: AbortSignal;
}

export interface StoredBaseBackup {
  readonly backup: BaseBackupResult;
  readonly objects: PhysicalObject[];
  /** Why the server would not make the increment that was asked for. */
  readonly refusal?: string;
}

/** Level 1: above it the server's CPU time rises faster than the size falls. */
const zstdLevel = 1;

/** Where the server cannot make the increment that was asked for, a full backup is made in its place. */
export async function storeBaseBackup(work: BaseBackupWork): Promise<StoredBaseBackup> {
  if (!work.parentManifest) return store(work);
  try {
    return await store(work);
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    log('the server cannot make this increment; a full backup is made', { reason: refusal });
    return { ...(await store({ ...work, parentManifest: undefined })), refusal };
  }
}

/**
 * What a server says that lacks summaries of the WAL between, or whose history the parent is not of: before it has sent
 * anything. Whatever else goes wrong would go wrong with a full backup as well.
 */
function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof PgdrError) || error.name !== 'BaseBackupFailed') return undefined;
  const { code } = (error.cause ?? {}) as { code?: string };
  return code === '55000' ? error.message : undefined;
}

async function store(work: BaseBackupWork): Promise<StoredBaseBackup> {
  const major = Math.floor(work.cluster.identity.serverVersionNum / 10_000);
  if (major < 15) return attempt(work, major, false);
  try {
    return await attempt(work, major, true);
  } catch (error) {
    if (!lacksZstd(error)) throw error;
    log('this server was built without zstd; its backup is compressed here');
    return attempt(work, major, false);
  }
}

/** Refused before anything was sent. */
const lacksZstd = (error: unknown): boolean =>
  error instanceof PgdrError && /(compression|zstd).*(not supported|does not support)/i.test(error.message);

async function attempt(work: BaseBackupWork, major: number, compressedByServer: boolean): Promise<StoredBaseBackup> {
  const { connection, cluster, id, signal } = work;
  const client = await connectForBackup(connection, 'pgdr base backup');
  // Ending the connection is the only way to leave a command that takes hours.
  const end = () => void client.end().catch(() => {});
  signal.addEventListener('abort', end);
  const progress = startProgress('base backup', cluster.bytes);
  const objects: PhysicalObject[] = [];
  let read = 0;
  const advance = (bytes: number) => {
    progress.add(bytes - read);
    read = bytes;
  };
  try {
    signal.throwIfAborted();
    if (work.parentManifest) await announceParent(client, work.store, work.parentManifest, signal);
    const serverZstdLevel = compressedByServer ? zstdLevel : null;
    const incremental = work.parentManifest !== undefined;
    const options = { label: `pgdr ${id}`, major, serverZstdLevel, incremental };
    const backup = await runBaseBackup(
      client,
      options,
      async (archive) => {
        const before = read;
        // Before 15 the server does not tell how far it is.
        const count = major < 15 ? (bytes: number) => advance(before + bytes) : () => {};
        const stored = await storeArchive(archive, work, compressedByServer, count);
        // Where the server compresses, only its progress tells how much there was.
        const object = { ...stored, rawBytes: stored.rawBytes ?? read - before };
        objects.push(object);
        log('object stored', { key: object.key, bytes: object.bytes });
      },
      advance,
    );
    return { backup, objects };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    progress.stop();
    signal.removeEventListener('abort', end);
    await client.end().catch(() => {});
  }
}

async function announceParent(
  client: pg.Client,
  store: ObjectStore,
  manifest: PhysicalObject,
  signal: AbortSignal,
): Promise<void> {
  const upload = (source: AsyncIterable<Buffer>) =>
    uploadManifest(client, source).catch((error) => {
      throw new PgdrError('BaseBackupFailed', (error as Error).message, { cause: error });
    });
  await readObject(store, manifest, upload, signal);
}

async function storeArchive(
  { name, content }: BaseBackupArchive,
  { store, prefix, cluster }: BaseBackupWork,
  compressed: boolean,
  onRawBytes: (bytes: number) => void,
): Promise<Omit<PhysicalObject, 'rawBytes'> & { rawBytes: number | undefined }> {
  const isManifest = name === 'manifest';
  let bytes = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of content) {
      bytes += chunk.length;
      onRawBytes(bytes);
      yield chunk;
    }
  }
  const stored = await putStream(
    store,
    isManifest ? `${prefix}backup_manifest` : `${prefix}${name}.tar.zst`,
    compressed || isManifest ? counted() : compressing(counted()),
    { partBytes: partBytesFor(isManifest ? 0 : cluster.bytes) },
  );
  const rawBytes = compressed && !isManifest ? undefined : bytes;
  if (isManifest) return { ...stored, role: 'backup-manifest', rawBytes };
  return name === 'base'
    ? { ...stored, role: 'base', rawBytes }
    : { ...stored, role: 'tablespace', oid: name, rawBytes };
}

function compressing(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const params = { [constants.ZSTD_c_compressionLevel]: zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 };
  return Readable.from(source).compose(createZstdCompress({ params }));
}
