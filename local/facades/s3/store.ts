import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bucket, BucketConfiguration, Replicator, Upload, UploadedPart, Version } from './model.ts';
import { slotsOf } from './slots.ts';
import {
  assertWritable,
  dropVersion,
  findVersion,
  insertVersion,
  noSuchVersion,
  versionOf,
  type WriteConditions,
} from './versions.ts';

/**
 * Buckets on disk:
 *   <bucket>/objects/<2 hex>/<SHA-256 of the key>/<version id>.json and <unique>.data
 *   <bucket>/uploads/<upload id>/upload.json, <part number>.json, whole.data and <unique>.part
 *   <bucket>/incoming/<unique>      bytes on their way in; emptied at start
 * Keys may hold anything, hence the hash; the key itself stands in the metadata. The rename of a `.json` is the
 * commit of a version or a part; data that no metadata names was never committed and goes at the next start.
 */

/** Opens a bucket with what an earlier run left in it. */
export function openBucket(
  root: string,
  name: string,
  region: string,
  configuration: BucketConfiguration,
  now: number,
  replicator: Replicator,
): Bucket {
  const directory = join(root, name);
  for (const folder of ['objects', 'uploads', 'incoming']) mkdirSync(join(directory, folder), { recursive: true });
  const bucket: Bucket = {
    name,
    region,
    directory,
    created: now,
    configuration,
    replicator,
    keys: [],
    versions: new Map(),
    uploads: new Map(),
    sequence: 0,
  };
  for (const file of readdirSync(join(directory, 'incoming'))) rmSync(join(directory, 'incoming', file));
  loadVersions(bucket);
  loadUploads(bucket);
  return bucket;
}

function loadVersions(bucket: Bucket): void {
  const found: Version[] = [];
  const objects = join(bucket.directory, 'objects');
  for (const prefix of readdirSync(objects)) {
    for (const hash of readdirSync(join(objects, prefix))) {
      const folder = join(objects, prefix, hash);
      const versions = loadFolder<Version>(folder);
      found.push(...versions);
    }
  }
  found.sort((a, b) => a.sequence - b.sequence);
  for (const version of found) {
    insertVersion(bucket, version);
    if (version.replication === 'PENDING') bucket.replicator.enqueue(bucket, version);
  }
  bucket.sequence = found.at(-1)?.sequence ?? 0;
}

function loadUploads(bucket: Bucket): void {
  const uploads = join(bucket.directory, 'uploads');
  for (const uploadId of readdirSync(uploads)) {
    const folder = join(uploads, uploadId);
    const documents = loadFolder<Upload | UploadedPart>(folder);
    const upload = documents.find((document): document is Upload => 'uploadId' in document);
    if (!upload) {
      rmSync(folder, { recursive: true });
      continue;
    }
    const parts = documents.filter((document): document is UploadedPart => 'number' in document);
    bucket.uploads.set(uploadId, {
      ...upload,
      parts: new Map(parts.map((part) => [part.number, part])),
      slots: slotsOf(parts),
    });
  }
}

/** The committed metadata of a folder; everything else in it is the rest of a write that did not end. */
function loadFolder<T extends object>(folder: string): T[] {
  const files = readdirSync(folder);
  const documents = files
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as T);
  const named = new Set(documents.map((document) => (document as { data?: string }).data));
  for (const file of files) if (!file.endsWith('.json') && !named.has(file)) rmSync(join(folder, file));
  return documents;
}

/** A name for bytes on their way in. */
export const incomingFile = (bucket: Bucket): string => join(bucket.directory, 'incoming', uniqueId());

export const uniqueId = (): string => randomBytes(16).toString('hex');

function folderOf(bucket: Bucket, key: string): string {
  const hash = createHash('sha256').update(key).digest('hex');
  return join(bucket.directory, 'objects', hash.slice(0, 2), hash);
}

export const dataFile = (bucket: Bucket, version: Version): string | undefined =>
  version.data === undefined ? undefined : join(folderOf(bucket, version.key), version.data);

export const uploadFolder = (bucket: Bucket, uploadId: string): string => join(bucket.directory, 'uploads', uploadId);

/** Writes metadata whole or not at all. */
export async function writeDocument(folder: string, name: string, document: object): Promise<void> {
  const temporary = join(folder, `${uniqueId()}.tmp`);
  await writeFile(temporary, JSON.stringify(document));
  await rename(temporary, join(folder, name));
}

export type NewVersion = Omit<Version, 'versionId' | 'sequence' | 'data' | 'deleteMarker'>;

/** Makes a file the newest version of its key, if the conditions hold then. The file is taken over, or left where it is on failure. */
export function commitVersion(
  bucket: Bucket,
  written: NewVersion,
  file: string,
  conditions: WriteConditions = {},
): Promise<Version> {
  return exclusively(bucket, `key:${written.key}`, async () => {
    assertWritable(bucket, written.key, conditions);
    const data = `${uniqueId()}.data`;
    const folder = folderOf(bucket, written.key);
    await mkdir(folder, { recursive: true });
    await rename(file, join(folder, data));
    return addVersion(bucket, { ...written, deleteMarker: false, data });
  });
}

export interface Deletion {
  /** What was removed, or the delete marker that was put. */
  readonly versionId?: string;
  readonly deleteMarker: boolean;
}

/** DELETE without a version id: a delete marker, or the end of the object where the bucket was never versioned. */
export function deleteCurrent(bucket: Bucket, key: string, now: number, assertAllowed: () => void): Promise<Deletion> {
  return exclusively(bucket, `key:${key}`, async () => {
    assertAllowed();
    if (!bucket.configuration.versioning) {
      const version = findVersion(bucket, key, 'null');
      if (version) await eraseVersion(bucket, version);
      return { deleteMarker: false };
    }
    const marker = await addVersion(bucket, {
      key,
      headers: {},
      storageClass: 'STANDARD',
      encryption: { algorithm: 'AES256' },
      lock: {},
      lastModified: now,
      deleteMarker: true,
      size: 0,
      etag: '',
    });
    return { versionId: marker.versionId, deleteMarker: true };
  });
}

/** DELETE of one version for good. `assertAllowed` throws where a lock forbids it; an absent version is no error. */
export function deleteVersion(
  bucket: Bucket,
  key: string,
  versionId: string,
  assertAllowed: (version: Version) => void,
): Promise<Deletion> {
  return exclusively(bucket, `key:${key}`, async () => {
    const version = findVersion(bucket, key, versionId);
    if (!version) return { versionId, deleteMarker: false };
    assertAllowed(version);
    await eraseVersion(bucket, version);
    return { versionId, deleteMarker: version.deleteMarker };
  });
}

/**
 * Changes what may change of a version: `change` throws to refuse. With `replicate` the change goes where the version
 * went.
 */
export function changeVersion(
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
  change: (version: Version) => Version,
  replicate = false,
): Promise<void> {
  return exclusively(bucket, `key:${key}`, async () => {
    const version = versionId === undefined ? versionOf(bucket, key) : findVersion(bucket, key, versionId);
    if (!version) throw noSuchVersion(key, versionId as string);
    // A copy's own changes stay with it.
    const copied = replicate && version.replication !== 'REPLICA' && bucket.replicator.wants(bucket, version);
    const changed = { ...change(version), ...(copied && { replication: 'PENDING' as const }) };
    await writeDocument(folderOf(bucket, key), `${version.versionId}.json`, changed);
    const versions = bucket.versions.get(key) ?? [];
    bucket.versions.set(
      key,
      versions.map((other) => (other === version ? changed : other)),
    );
    if (copied) bucket.replicator.enqueue(bucket, changed);
  });
}

/** Adds a version that another bucket had, with its id. The file is taken over, or left where it is on failure. */
export function commitReplica(bucket: Bucket, version: Version, file: string | undefined): Promise<void> {
  return exclusively(bucket, `key:${version.key}`, async () => {
    const folder = folderOf(bucket, version.key);
    await mkdir(folder, { recursive: true });
    const data = file && `${uniqueId()}.data`;
    if (file && data) await rename(file, join(folder, data));
    await addVersion(bucket, { ...version, data }, version.versionId);
  });
}

async function addVersion(
  bucket: Bucket,
  written: Omit<Version, 'versionId' | 'sequence'>,
  givenId?: string,
): Promise<Version> {
  const versionId = givenId ?? (bucket.configuration.versioning === 'Enabled' ? uniqueId() : 'null');
  const replaced = findVersion(bucket, written.key, versionId);
  const copied = givenId === undefined && versionId !== 'null' && bucket.replicator.wants(bucket, written);
  const version: Version = {
    ...written,
    versionId,
    sequence: ++bucket.sequence,
    ...(copied && { replication: 'PENDING' }),
  };
  const folder = folderOf(bucket, written.key);
  await mkdir(folder, { recursive: true });
  await writeDocument(folder, `${versionId}.json`, version);
  insertVersion(bucket, version);
  if (copied) bucket.replicator.enqueue(bucket, version);
  // Readers that have the old file open keep it until they end.
  if (replaced?.data) await rm(join(folder, replaced.data), { force: true });
  return version;
}

async function eraseVersion(bucket: Bucket, version: Version): Promise<void> {
  const folder = folderOf(bucket, version.key);
  await rm(join(folder, `${version.versionId}.json`), { force: true });
  dropVersion(bucket, version);
  if (version.data) await rm(join(folder, version.data), { force: true });
  // Other versions keep the folder.
  if (!bucket.versions.has(version.key)) await rmdir(folder).catch(() => {});
}

const queues = new Map<string, Promise<unknown>>();

/** Runs one commit after the other per subject of a bucket (`key:…`, `upload:…`); bodies are received before that. */
export async function exclusively<T>(bucket: Bucket, subject: string, work: () => Promise<T>): Promise<T> {
  const name = `${bucket.directory} ${subject}`;
  const turn = (queues.get(name) ?? Promise.resolve()).then(work, work);
  const settled = turn.catch(() => {});
  queues.set(name, settled);
  try {
    return await turn;
  } finally {
    if (queues.get(name) === settled) queues.delete(name);
  }
}
