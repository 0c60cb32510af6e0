import { HeadObjectCommand } from '@aws-sdk/client-s3';
import type { PhysicalManifest } from '../core/physical-manifest.ts';
import type { WalArchive } from '../core/wal-archive.ts';
import { marksFromMetadata } from '../core/wal-marks.ts';
import { textToMicroseconds } from '../core/wal-records.ts';
import { lastObjects, recoverableStretches, type Stretch } from '../core/window.ts';
import type { ObjectStore } from './object-store.ts';

/** A server that commits a heartbeat every few seconds has one in nearly every object: more are not asked. */
export const mostAsked = 50;

/**
 * The newest commit of a stretch, microseconds since 1970 by the server's clock; undefined when none is known. Objects
 * say which commits are in them; the last ones may hold none.
 */
export async function newestCommitAt(
  { s3, bucket }: ObjectStore,
  archive: WalArchive,
  stretch: Stretch,
): Promise<number | undefined> {
  let asked = 0;
  for (const { key } of lastObjects(stretch, archive)) {
    if (++asked > mostAsked) return undefined;
    const { Metadata } = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    const { lastCommitAt } = marksFromMetadata(Metadata ?? {});
    if (lastCommitAt !== undefined) return lastCommitAt;
  }
  return undefined;
}

/** Seconds of all stretches that can be recovered, each moment once. */
export async function recoverableSeconds(
  store: ObjectStore,
  backups: readonly PhysicalManifest[],
  archive: WalArchive,
): Promise<number> {
  let [seconds, until] = [0, Number.NEGATIVE_INFINITY];
  for (const stretch of recoverableStretches(backups, archive)) {
    const newest = await newestCommitAt(store, archive, stretch);
    // Without a commit after it, the end of the backup itself is still a moment.
    const from = textToMicroseconds(stretch.from.backup.stoppedAt) / 1e6;
    const to = newest === undefined ? from + 1 : Math.max(from + 1, newest / 1e6);
    seconds += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return seconds;
}
