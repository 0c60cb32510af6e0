import { HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { PgdrError } from '../core/errors.ts';
import { inTurns } from '../core/in-turns.ts';
import { type Lineage, logicalPrefix, manifestKey, proofKey, timeOrderedId, verificationKey } from '../core/keys.ts';
import type { CopyState, PostureFacts, RestoreTestResult, VerifiedBackup } from '../core/posture.ts';
import type { ProofReport } from '../core/proof.ts';
import type { Verification } from '../core/verification.ts';
import { getText, type ObjectStore } from './object-store.ts';

/** Reads what {@link PostureFacts} are made from. Bounded: what lies further back is not looked at. */

/** Backups of this time are looked at: a week for the mean size, a month for the trend. */
const lookBackMs = 35 * 86_400_000;
/** At most this many folders, which is an hourly backup for 35 days and some. */
const mostBackups = 1000;
const mostProofs = 10;
const newestCopies = 3;

/** What was read once stays as it is: objects are written once. A function that stays warm reads each but once. */
const known = { verifications: new Map<string, VerifiedBackup>(), proofs: new Map<string, RestoreTestResult>() };
const mostKnown = 5000;

export async function readPosture(
  store: ObjectStore,
  lineage: Lineage,
  now: Date,
): Promise<Pick<PostureFacts, 'now' | 'backups' | 'restoreTests' | 'copies'>> {
  const folders = await recentFolders(store, lineage, new Date(now.getTime() - lookBackMs));
  const backups = (await inTurns(folders, (folder) => readVerified(store, folder))).filter((one) => one !== undefined);
  const restoreTests = await readRestoreTests(store, lineage);
  const copies = await inTurns(backups.slice(-newestCopies), ({ id }) =>
    readCopy(store, manifestKey(`${logicalPrefix(lineage)}${id}/`)),
  );
  return { now, backups, restoreTests, copies };
}

/** Folders of backups from `since` on, oldest first; the newest ones when there are too many. */
async function recentFolders(store: ObjectStore, lineage: Lineage, since: Date): Promise<string[]> {
  const prefix = logicalPrefix(lineage);
  const folders: string[] = [];
  let token: string | undefined;
  do {
    const page = await store.s3.send(
      new ListObjectsV2Command({
        Bucket: store.bucket,
        Prefix: prefix,
        Delimiter: '/',
        StartAfter: `${prefix}${timeOrderedId(since, '')}`,
        ContinuationToken: token,
      }),
    );
    folders.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix as string));
    token = page.NextContinuationToken;
  } while (token);
  return folders.slice(-mostBackups);
}

/** Undefined for a backup that is not verified, or not yet. */
async function readVerified(store: ObjectStore, folder: string): Promise<VerifiedBackup | undefined> {
  const key = verificationKey(folder);
  const before = known.verifications.get(`${store.bucket}/${key}`);
  if (before) return before;
  try {
    const { verifiedAt, bytes } = JSON.parse(await getText(store, key)) as Verification;
    const backup = { id: folder.split('/').at(-2) as string, verifiedAt, bytes };
    remember(known.verifications, `${store.bucket}/${key}`, backup);
    return backup;
  } catch (error) {
    if (error instanceof PgdrError && error.name === 'ObjectMissing') return undefined;
    throw error;
  }
}

async function readRestoreTests(store: ObjectStore, lineage: Lineage): Promise<RestoreTestResult[]> {
  const prefix = proofKey(lineage, '', 'json').replace(/\.json$/, '');
  const found: { key: string; at: string }[] = [];
  let token: string | undefined;
  do {
    const page = await store.s3.send(
      new ListObjectsV2Command({ Bucket: store.bucket, Prefix: prefix, ContinuationToken: token }),
    );
    for (const { Key, LastModified } of page.Contents ?? [])
      if (Key?.endsWith('.json') && LastModified) found.push({ key: Key, at: LastModified.toISOString() });
    token = page.NextContinuationToken;
  } while (token);
  return inTurns(found.slice(-mostProofs), async ({ key, at }) => {
    const before = known.proofs.get(`${store.bucket}/${key}`);
    if (before) return before;
    const { id, holds, rtoSeconds, rpoSeconds } = JSON.parse(await getText(store, key)) as ProofReport;
    const result = { id, at, holds, rtoSeconds, rpoSeconds };
    remember(known.proofs, `${store.bucket}/${key}`, result);
    return result;
  });
}

async function readCopy(store: ObjectStore, key: string): Promise<CopyState> {
  const head = await store.s3.send(new HeadObjectCommand({ Bucket: store.bucket, Key: key }));
  return {
    storedAt: (head.LastModified as Date).toISOString(),
    replication: head.ReplicationStatus as CopyState['replication'],
  };
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= mostKnown) map.clear();
  map.set(key, value);
}
