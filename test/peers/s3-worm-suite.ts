import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { type Case, refused } from './s3-suites.ts';
import {
  head,
  hold,
  inDays,
  locked,
  makeBucket,
  makeBucketWithDefault,
  put,
  putInParts,
  remove,
  retain,
  text,
} from './s3-worm-bucket.ts';

/** Write once, read many: what Object Lock keeps, and from whom. Every case has a bucket of its own. */

const denied = '403 AccessDenied';
/** Of a version that was the last of its key. */
const gone = /^404 NoSuch(Version|Key)$/;

export const wormCases: readonly Case[] = [
  {
    name: 'a bucket with Object Lock keeps versions',
    async run(server) {
      const { s3, name } = await makeBucket(server);
      expect((await s3.send(new GetBucketVersioningCommand({ Bucket: name }))).Status).toBe('Enabled');
      const { ObjectLockConfiguration } = await s3.send(new GetObjectLockConfigurationCommand({ Bucket: name }));
      expect(ObjectLockConfiguration?.ObjectLockEnabled).toBe('Enabled');
    },
  },
  {
    name: 'a bucket with Object Lock cannot stop keeping versions',
    async run(server) {
      const { s3, name } = await makeBucket(server);
      const suspend = new PutBucketVersioningCommand({
        Bucket: name,
        VersioningConfiguration: { Status: 'Suspended' },
      });
      expect(await refused(s3.send(suspend))).toBe('409 InvalidBucketState');
    },
  },
  {
    name: 'COMPLIANCE yields to nobody, and can be read as before',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', locked('COMPLIANCE'));
      expect(await refused(remove(bucket, 'k', id))).toBe(denied);
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
      expect(await text(bucket, 'k', id)).toBe('v');
    },
  },
  {
    name: 'GOVERNANCE yields to a bypass only',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', locked('GOVERNANCE'));
      expect(await refused(remove(bucket, 'k', id))).toBe(denied);
      await remove(bucket, 'k', id, true);
      expect(await refused(text(bucket, 'k', id))).toMatch(gone);
    },
  },
  {
    name: 'a legal hold yields to no bypass, and ends when it is taken off',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', { ObjectLockLegalHoldStatus: 'ON' });
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
      const told = await bucket.s3.send(new GetObjectLegalHoldCommand({ Bucket: bucket.name, Key: 'k' }));
      expect(told.LegalHold?.Status).toBe('ON');
      await hold(bucket, 'k', 'OFF');
      await remove(bucket, 'k', id);
      expect(await refused(text(bucket, 'k', id))).toMatch(gone);
    },
  },
  {
    name: 'a hold and a retention each keep the object on their own',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', { ...locked('GOVERNANCE'), ObjectLockLegalHoldStatus: 'ON' });
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
      await hold(bucket, 'k', 'OFF');
      expect(await refused(remove(bucket, 'k', id))).toBe(denied);
      await remove(bucket, 'k', id, true);
    },
  },
  {
    name: 'a delete without version hides a locked object behind a marker, which can go again',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', locked('COMPLIANCE'));
      const marker = await remove(bucket, 'k');
      expect(marker.DeleteMarker).toBe(true);
      expect(await refused(text(bucket, 'k'))).toBe('404 NoSuchKey');
      expect(await text(bucket, 'k', id)).toBe('v');
      await remove(bucket, 'k', marker.VersionId);
      expect(await text(bucket, 'k')).toBe('v');
    },
  },
  {
    name: 'a put on a locked key adds a version; the locked one stays as it is',
    async run(server) {
      const bucket = await makeBucket(server);
      const first = await put(bucket, 'k', locked('COMPLIANCE'));
      const second = await put(bucket, 'k', { Body: 'other' });
      expect(await text(bucket, 'k')).toBe('other');
      expect(await text(bucket, 'k', first)).toBe('v');
      expect(await refused(remove(bucket, 'k', first, true))).toBe(denied);
      await remove(bucket, 'k', second);
      expect((await head(bucket, 'k')).VersionId).toBe(first);
    },
  },
  {
    name: 'DeleteObjects removes what is free and names what is locked',
    async run(server) {
      const bucket = await makeBucket(server);
      const [kept, free] = [await put(bucket, 'kept', locked('COMPLIANCE')), await put(bucket, 'free')];
      const { Deleted, Errors } = await bucket.s3.send(
        new DeleteObjectsCommand({
          Bucket: bucket.name,
          Delete: {
            Objects: [
              { Key: 'kept', VersionId: kept },
              { Key: 'free', VersionId: free },
            ],
          },
        }),
      );
      expect(Deleted?.map(({ Key }) => Key)).toEqual(['free']);
      expect(Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([['kept', 'AccessDenied']]);
    },
  },
  {
    name: 'the default retention keeps a put that asks for none',
    async run(server) {
      const bucket = await makeBucketWithDefault(server, 'COMPLIANCE', 2);
      const id = await put(bucket, 'k');
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
    },
  },
  {
    name: 'the default retention is told with the object',
    async run(server) {
      const bucket = await makeBucketWithDefault(server, 'COMPLIANCE', 2);
      await put(bucket, 'k');
      const { ObjectLockMode, ObjectLockRetainUntilDate } = await head(bucket, 'k');
      expect(ObjectLockMode).toBe('COMPLIANCE');
      expect(Math.abs((ObjectLockRetainUntilDate?.getTime() ?? 0) - inDays(2).getTime())).toBeLessThan(60_000);
    },
  },
  {
    name: "a put's own retention goes before the default",
    async run(server) {
      const bucket = await makeBucketWithDefault(server, 'COMPLIANCE', 2);
      const until = inDays(1);
      const id = await put(bucket, 'k', locked('GOVERNANCE', until));
      expect(await head(bucket, 'k')).toMatchObject({ ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until });
      await remove(bucket, 'k', id, true);
    },
  },
  {
    name: 'the default retention keeps an object made of parts',
    async run(server) {
      const bucket = await makeBucketWithDefault(server, 'GOVERNANCE', 2);
      const id = await putInParts(bucket, 'k');
      expect(await refused(remove(bucket, 'k', id))).toBe(denied);
      expect((await head(bucket, 'k', id)).ContentLength).toBe(1);
    },
  },
  {
    name: 'a retention and a hold asked for at the start of an upload hold for its object',
    async run(server) {
      const bucket = await makeBucket(server);
      const until = inDays(3);
      const id = await putInParts(bucket, 'k', { ...locked('COMPLIANCE', until), ObjectLockLegalHoldStatus: 'ON' });
      expect(await head(bucket, 'k')).toMatchObject({
        ObjectLockMode: 'COMPLIANCE',
        ObjectLockRetainUntilDate: until,
        ObjectLockLegalHoldStatus: 'ON',
      });
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
    },
  },
  {
    name: 'COMPLIANCE can be extended, never shortened or weakened',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', locked('COMPLIANCE', inDays(2)));
      expect(await refused(retain(bucket, 'k', 'COMPLIANCE', inDays(1), true))).toBe(denied);
      expect(await refused(retain(bucket, 'k', 'GOVERNANCE', inDays(3), true))).toBe(denied);
      const longer = inDays(4);
      await retain(bucket, 'k', 'COMPLIANCE', longer);
      const told = await bucket.s3.send(new GetObjectRetentionCommand({ Bucket: bucket.name, Key: 'k' }));
      expect(told.Retention).toEqual({ Mode: 'COMPLIANCE', RetainUntilDate: longer });
    },
  },
  {
    name: 'GOVERNANCE is shortened by a bypass only',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', locked('GOVERNANCE', inDays(2)));
      expect(await refused(retain(bucket, 'k', 'GOVERNANCE', inDays(1)))).toBe(denied);
      const shorter = inDays(1);
      await retain(bucket, 'k', 'GOVERNANCE', shorter, true);
      expect((await head(bucket, 'k')).ObjectLockRetainUntilDate).toEqual(shorter);
    },
  },
  {
    name: 'GOVERNANCE is extended by anybody',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', locked('GOVERNANCE', inDays(1)));
      const longer = inDays(2);
      await retain(bucket, 'k', 'GOVERNANCE', longer);
      expect((await head(bucket, 'k')).ObjectLockRetainUntilDate).toEqual(longer);
    },
  },
  {
    name: 'an object that has none can be given a retention later',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k');
      await retain(bucket, 'k', 'COMPLIANCE', inDays(1));
      expect(await refused(remove(bucket, 'k', id, true))).toBe(denied);
    },
  },
  {
    name: 'an object without a lock has none to be told',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k');
      const at = { Bucket: bucket.name, Key: 'k' };
      for (const ask of [new GetObjectRetentionCommand(at), new GetObjectLegalHoldCommand(at)]) {
        expect(await refused(bucket.s3.send(ask as GetObjectRetentionCommand))).toBe(
          '404 NoSuchObjectLockConfiguration',
        );
      }
    },
  },
  {
    name: 'a lock that is over lets go',
    async run(server) {
      const bucket = await makeBucket(server);
      const until = new Date(Math.floor(Date.now() / 1000) * 1000 + 3000);
      const id = await put(bucket, 'k', locked('COMPLIANCE', until));
      expect(await refused(remove(bucket, 'k', id))).toBe(denied);
      await new Promise((resolve) => setTimeout(resolve, until.getTime() - Date.now() + 1000));
      await remove(bucket, 'k', id);
      expect(await refused(text(bucket, 'k', id))).toMatch(gone);
    },
  },
  {
    name: 'a retention in the past is refused',
    async run(server) {
      const bucket = await makeBucket(server);
      expect(await refused(put(bucket, 'k', locked('GOVERNANCE', inDays(-1))))).toBe('400 InvalidArgument');
      await put(bucket, 'k');
      expect(await refused(retain(bucket, 'k', 'GOVERNANCE', inDays(-1)))).toBe('400 InvalidArgument');
    },
  },
  {
    name: 'a mode without a date, or a date without a mode, is refused',
    async run(server) {
      const bucket = await makeBucket(server);
      expect(await refused(put(bucket, 'k', { ObjectLockMode: 'GOVERNANCE' }))).toBe('400 InvalidArgument');
      expect(await refused(put(bucket, 'k', { ObjectLockRetainUntilDate: inDays(1) }))).toBe('400 InvalidArgument');
    },
  },
  {
    name: 'a bucket without Object Lock takes no lock',
    async run(server) {
      const bucket = await makeBucket(server, false);
      expect(await refused(put(bucket, 'k', locked('GOVERNANCE')))).toBe('400 InvalidRequest');
      expect(await refused(put(bucket, 'k', { ObjectLockLegalHoldStatus: 'ON' }))).toBe('400 InvalidRequest');
      await put(bucket, 'k');
      expect(await refused(retain(bucket, 'k', 'GOVERNANCE', inDays(1)))).toBe('400 InvalidRequest');
      expect(await refused(hold(bucket, 'k', 'ON'))).toBe('400 InvalidRequest');
      const configuration = new GetObjectLockConfigurationCommand({ Bucket: bucket.name });
      expect(await refused(bucket.s3.send(configuration))).toBe('404 ObjectLockConfigurationNotFoundError');
    },
  },
  {
    name: 'a put that asks for a lock needs a digest',
    async run(server) {
      const { name } = await makeBucket(server);
      const bare = { s3: server.client({ requestChecksumCalculation: 'WHEN_REQUIRED' }), name };
      // The SDK adds a checksum wherever S3 insists on one; it is taken off again before the request is signed.
      bare.s3.middlewareStack.add(
        (next) => (args) => {
          const { headers } = args.request as { headers: Record<string, string> };
          for (const header of Object.keys(headers)) {
            if (/^(x-amz-checksum-|x-amz-sdk-checksum|content-md5)/i.test(header)) delete headers[header];
          }
          return next(args);
        },
        { step: 'build', priority: 'low' },
      );
      expect(await refused(put(bare, 'k', locked('GOVERNANCE')))).toBe('400 InvalidRequest');
    },
  },
  {
    name: 'a copy of a locked object is not locked by it',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', locked('COMPLIANCE'));
      const { VersionId } = await bucket.s3.send(
        new CopyObjectCommand({ Bucket: bucket.name, Key: 'copy', CopySource: `${bucket.name}/k` }),
      );
      expect((await head(bucket, 'copy')).ObjectLockMode).toBeUndefined();
      await remove(bucket, 'copy', VersionId);
    },
  },
  {
    name: 'If-None-Match keeps a second writer out, in one piece or in parts',
    async run(server) {
      const bucket = await makeBucket(server);
      const id = await put(bucket, 'k', locked('COMPLIANCE'));
      expect(await refused(put(bucket, 'k', { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed');
      const at = { Bucket: bucket.name, Key: 'k' };
      const { UploadId } = await bucket.s3.send(new CreateMultipartUploadCommand(at));
      const { ETag } = await bucket.s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'x' }));
      const complete = new CompleteMultipartUploadCommand({
        ...at,
        UploadId,
        IfNoneMatch: '*',
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
      });
      expect(await refused(bucket.s3.send(complete))).toBe('412 PreconditionFailed');
      const { Versions } = await bucket.s3.send(new ListObjectVersionsCommand({ Bucket: bucket.name }));
      expect(Versions?.map(({ VersionId }) => VersionId)).toEqual([id]);
    },
  },
  {
    name: 'a bucket that holds a locked object cannot be deleted',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', locked('COMPLIANCE'));
      await remove(bucket, 'k');
      expect(await refused(bucket.s3.send(new DeleteBucketCommand({ Bucket: bucket.name })))).toMatch(
        /^409 BucketNotEmpty/,
      );
    },
  },
];
