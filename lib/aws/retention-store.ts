import { DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { PgdrError } from '../core/errors.ts';
import {
  basePrefix,
  type Lineage,
  logicalPrefix,
  parseWalKey,
  verificationKey,
  walIdentityKey,
  walPrefix,
} from '../core/keys.ts';
import { viewManifest } from '../core/retention/manifest-view.ts';
import type { PlacedBackup, Removal, Store, StoredObject } from '../core/retention/plan.ts';
import { parseWalIdentity, readArchive } from '../core/wal-archive.ts';
import { getText, type ObjectStore } from './object-store.ts';

/** What retention reads and does in the store; what it decides is in core/retention. */

/** Everything that lies there for a lineage. @throws PgdrError ManifestInvalid for a manifest that cannot be judged */
export async function readRetentionStore(store: ObjectStore, of: Lineage): Promise<Store> {
  const backupObjects = [
    ...(await listObjects(store, logicalPrefix(of))),
    ...(await listObjects(store, basePrefix(of))),
  ];
  const present = new Set(backupObjects.map(({ key }) => key));
  const backups: PlacedBackup[] = [];
  for (const { key } of backupObjects) {
    if (!/\/(logical|base)\/[^/]+\/manifest\.json$/.test(key)) continue;
    const verified = present.has(verificationKey(key.slice(0, key.lastIndexOf('/') + 1)));
    backups.push(viewManifest(await getText(store, key, 'ManifestInvalid'), key, verified));
  }
  const walObjects = await listObjects(store, walPrefix(of));
  return { backups, objects: backupObjects, walObjects, wal: await readWal(store, of, walObjects) };
}

/** The WAL that is stored, with the histories of its timelines; undefined when there is none. */
async function readWal(store: ObjectStore, of: Lineage, objects: readonly StoredObject[]) {
  const identityKey = walIdentityKey(of);
  if (!objects.some(({ key }) => key === identityKey)) return undefined;
  const { walSegmentBytes } = parseWalIdentity(await getText(store, identityKey), identityKey);
  const histories = new Map<number, string>();
  for (const { key } of objects) {
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  return readArchive(
    objects.map(({ key }) => key),
    walSegmentBytes,
    histories,
  );
}

/** An object that a manifest names and the store does not have means a loss: nothing is removed before it is seen to. */
export function refuseIncomplete({ backups, objects }: Store): void {
  const present = new Set(objects.map(({ key }) => key));
  for (const { id, keys } of backups) {
    const missing = keys.filter((key) => !present.has(key));
    if (missing.length === 0) continue;
    const more = missing.length > 1 ? ` and ${missing.length - 1} more` : '';
    throw new PgdrError('ObjectMissing', `backup ${id} names ${missing[0]}${more}; nothing was removed`);
  }
}

/** Puts delete markers: the version itself goes when its lock and the lifecycle of the bucket let it. */
export async function removeObjects(store: ObjectStore, removals: readonly Removal[]): Promise<void> {
  if (removals.length === 0) return;
  const { Errors = [] } = await store.s3.send(
    new DeleteObjectsCommand({
      Bucket: store.bucket,
      Delete: { Objects: removals.map(({ key }) => ({ Key: key })), Quiet: true },
    }),
  );
  const [first] = Errors;
  if (first) {
    throw new PgdrError(
      'StorageRefused',
      `${Errors.length} objects, the first ${first.Key}: ${first.Code}: ${first.Message}`,
    );
  }
}

async function listObjects(store: ObjectStore, prefix: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await store.s3.send(
      new ListObjectsV2Command({ Bucket: store.bucket, Prefix: prefix, ContinuationToken }),
    );
    for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
      objects.push({ key: Key, bytes: Size, storedAt: LastModified?.getTime() ?? 0 });
    }
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  return objects;
}
