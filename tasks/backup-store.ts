import { pipeline } from 'node:stream/promises';
import { encrypting, openClientKey } from '../lib/aws/client-encryption.ts';
import { getText, type Lock, type ObjectStore, openStore, putOnce, putStream } from '../lib/aws/object-store.ts';
import { clientEncryption } from '../lib/core/encryption.ts';
import type { ErrorName } from '../lib/core/errors.ts';
import { partBytesFor } from '../lib/core/keys.ts';
import { type Manifest, type ManifestObject, parseManifest } from '../lib/core/manifest.ts';
import { unsealManifest } from '../lib/core/sealed-manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { readObject } from './restore-stream.ts';

/** The bucket as the tasks of one database see it: with the key that its objects are encrypted with, if they are. */
export async function openBackupStore(
  { bucket, firstVersions, logical }: DatabaseSettings,
  lock?: Lock,
): Promise<ObjectStore> {
  const clientKey = logical.clientKey === undefined ? undefined : await openClientKey(logical.clientKey);
  return { ...openStore(bucket, lock), firstVersions, clientKey };
}

/** Stores a document of a backup, encrypted where its archives are. */
export async function storeDocument(
  store: ObjectStore,
  key: string,
  role: ManifestObject['role'],
  body: Buffer,
): Promise<ManifestObject> {
  const stored = store.clientKey
    ? { ...(await putEncrypted(store, key, body)), encryption: clientEncryption }
    : await putOnce(store, key, body);
  return { role, rawBytes: body.length, ...stored };
}

export const json = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

async function putEncrypted(store: ObjectStore, key: string, body: Buffer) {
  const cipher = encrypting(store.clientKey as NonNullable<typeof store.clientKey>, key);
  let stored: Awaited<ReturnType<typeof putStream>> | undefined;
  try {
    await pipeline([body], cipher.stream, async (source: AsyncIterable<Buffer>) => {
      stored = await putStream(store, key, source, { partBytes: partBytesFor(body.length) });
    });
  } catch (error) {
    throw cipher.explain(error) ?? error;
  }
  if (!stored) throw new Error(`${key}: the pipeline ended without a stored object`);
  return stored;
}

/** The manifest under a key, with what is encrypted of it. `missing` names the error when there is none. */
export async function readManifest(
  store: ObjectStore,
  key: string,
  options: { readonly missing?: ErrorName; readonly signal?: AbortSignal } = {},
): Promise<Manifest> {
  const manifest = parseManifest(await getText(store, key, options.missing), key);
  const details = manifest.sealed && manifest.objects.find(({ role }) => role === 'details');
  if (!details) return manifest;
  const chunks: Buffer[] = [];
  const keep = async (source: AsyncIterable<Buffer>) => {
    for await (const chunk of source) chunks.push(chunk);
  };
  await readObject(store, details, keep, options.signal ?? new AbortController().signal);
  return unsealManifest(manifest, parseManifest(Buffer.concat(chunks).toString(), details.key), key);
}
