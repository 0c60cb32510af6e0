import { AwsError } from '../../facade.ts';
import { assertAllowed, deletionPermissions } from './access.ts';
import { versionIdHeader } from './description.ts';
import { assertDeletable, bypassesGovernance } from './lock.ts';
import type { Bucket, Call, Version } from './model.ts';
import { type Deletion, deleteCurrent, deleteVersion } from './store.ts';
import { assertWritable } from './versions.ts';
import { answerXml, malformed, type XmlValue } from './xml.ts';

export async function deleteObject(call: Call): Promise<void> {
  const bucket = call.bucket();
  const deletion = await remove(
    call,
    bucket,
    call.key,
    call.query.get('versionId') ?? undefined,
    call.header('if-match'),
  );
  call.response.writeHead(204, {
    ...versionIdHeader(bucket, deletion.versionId),
    ...(deletion.deleteMarker && { 'x-amz-delete-marker': 'true' }),
  });
  call.response.end();
}

function remove(
  call: Call,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
  ifMatch?: string,
): Promise<Deletion> {
  const now = call.world.now();
  if (versionId === undefined) {
    return deleteCurrent(bucket, key, now, () => assertWritable(bucket, key, { ifMatch }));
  }
  const assertAllowed = (version: Version) => {
    assertWritable(bucket, key, { ifMatch });
    assertDeletable(version, bypassesGovernance(call), now);
  };
  return deleteVersion(bucket, key, versionId, assertAllowed);
}

export interface DeleteRequest {
  readonly objects: readonly { readonly key: string; readonly versionId?: string }[];
  readonly quiet: boolean;
}

export function deleteRequestOf(document: Record<string, any>): DeleteRequest {
  const objects = ((document.Object ?? []) as Record<string, string>[]).map((object) => {
    if (typeof object.Key !== 'string' || object.Key === '') throw malformed('an Object without Key');
    return { key: object.Key, versionId: object.VersionId };
  });
  if (objects.length === 0 || objects.length > 1000) throw malformed('between 1 and 1000 Objects are needed');
  return { objects, quiet: document.Quiet === 'true' };
}

/** Each object has its own outcome; a lock on one does not keep the others. */
export async function deleteObjects(call: Call, { objects, quiet }: DeleteRequest): Promise<void> {
  const bucket = call.bucket();
  const deleted: XmlValue[] = [];
  const errors: XmlValue[] = [];
  for (const { key, versionId } of objects) {
    try {
      assertAllowed(call, deletionPermissions(call, key, versionId));
      const deletion = await remove(call, bucket, key, versionId);
      if (quiet) continue;
      deleted.push({
        Key: key,
        VersionId: versionId,
        ...(deletion.deleteMarker && { DeleteMarker: true, DeleteMarkerVersionId: deletion.versionId }),
      });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      errors.push({ Key: key, VersionId: versionId, Code: error.code, Message: error.message });
    }
  }
  answerXml(call.response, 'DeleteResult', { Deleted: deleted, Error: errors });
}
