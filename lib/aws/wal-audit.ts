import { pipeline, Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { ListObjectVersionsCommand, type ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import type { WalObject } from '../core/wal-archive.ts';
import type { Finding, Version } from '../core/wal-audit.ts';
import { getStream, type ObjectStore } from './object-store.ts';

/** All versions and delete markers below a prefix. */
export async function listVersions({ s3, bucket }: ObjectStore, prefix: string): Promise<Version[]> {
  const versions: Version[] = [];
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  while (next) {
    const page: ListObjectVersionsCommandOutput = await s3.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...next }),
    );
    const add = (isDeleteMarker: boolean) => (one: { Key?: string; IsLatest?: boolean; LastModified?: Date }) =>
      versions.push({
        key: one.Key as string,
        isDeleteMarker,
        isLatest: one.IsLatest ?? false,
        modifiedAt: one.LastModified ?? new Date(0),
      });
    page.Versions?.forEach(add(false));
    page.DeleteMarkers?.forEach(add(true));
    next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : undefined;
  }
  return versions;
}

/**
 * Reads an object to its end: every zstd frame carries a checksum of its content, and the length is what the key says.
 * Undefined when it is sound. Throws when the store cannot be asked: that is no finding.
 */
export async function readSound(store: ObjectStore, object: WalObject): Promise<Finding | undefined> {
  const expected = Number(object.end - object.start);
  let length = 0;
  const source = Readable.from(await getStream(store, object.key));
  try {
    const bytes = pipeline(source, createZstdDecompress(), () => {}) as unknown as AsyncIterable<Buffer>;
    for await (const chunk of bytes) length += chunk.length;
  } catch (error) {
    return { kind: 'broken', what: `${object.key}: ${(error as Error).message}` };
  }
  if (length === expected) return undefined;
  return { kind: 'broken', what: `${object.key} holds ${length} bytes, its key says ${expected}` };
}
