import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { type S3Endpoint, uniqueName } from './s3-suites.ts';

/** What the cases of `s3-worm-suite.ts` do with a bucket. */

type Mode = 'GOVERNANCE' | 'COMPLIANCE';
const day = 86_400_000;
/** Whole seconds: lists and headers tell no finer ones everywhere. */
export const inDays = (days: number): Date => new Date(Math.floor(Date.now() / 1000) * 1000 + days * day);

interface Bucket {
  readonly s3: S3Client;
  readonly name: string;
}

export async function makeBucket({ client, region }: S3Endpoint, lock = true, s3 = client()): Promise<Bucket> {
  const name = uniqueName();
  await s3.send(
    new CreateBucketCommand({
      Bucket: name,
      ObjectLockEnabledForBucket: lock,
      CreateBucketConfiguration: { LocationConstraint: region as 'eu-central-1' },
    }),
  );
  return { s3, name };
}

export async function makeBucketWithDefault(server: S3Endpoint, Mode: Mode, Days: number): Promise<Bucket> {
  const bucket = await makeBucket(server);
  await bucket.s3.send(
    new PutObjectLockConfigurationCommand({
      Bucket: bucket.name,
      ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: { Mode, Days } } },
    }),
  );
  return bucket;
}

export const put = async ({ s3, name }: Bucket, Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  (await s3.send(new PutObjectCommand({ Bucket: name, Key, Body: 'v', ...more }))).VersionId as string;
export const locked = (mode: Mode, until = inDays(1)): Partial<PutObjectCommandInput> => ({
  ObjectLockMode: mode,
  ObjectLockRetainUntilDate: until,
});
export const remove = ({ s3, name }: Bucket, Key: string, VersionId?: string, BypassGovernanceRetention?: boolean) =>
  s3.send(new DeleteObjectCommand({ Bucket: name, Key, VersionId, BypassGovernanceRetention }));
export const text = async ({ s3, name }: Bucket, Key: string, VersionId?: string) =>
  (await s3.send(new GetObjectCommand({ Bucket: name, Key, VersionId }))).Body?.transformToString();
export const head = ({ s3, name }: Bucket, Key: string, VersionId?: string) =>
  s3.send(new HeadObjectCommand({ Bucket: name, Key, VersionId }));
export const retain = ({ s3, name }: Bucket, Key: string, Mode: Mode, until: Date, bypass?: boolean) =>
  s3.send(
    new PutObjectRetentionCommand({
      Bucket: name,
      Key,
      Retention: { Mode, RetainUntilDate: until },
      BypassGovernanceRetention: bypass,
    }),
  );
export const hold = ({ s3, name }: Bucket, Key: string, Status: 'ON' | 'OFF') =>
  s3.send(new PutObjectLegalHoldCommand({ Bucket: name, Key, LegalHold: { Status } }));

/** An object of one part. */
export async function putInParts({ s3, name }: Bucket, Key: string, lock: Partial<PutObjectCommandInput> = {}) {
  const at = { Bucket: name, Key };
  const { UploadId } = await s3.send(
    new CreateMultipartUploadCommand({
      ...at,
      ObjectLockMode: lock.ObjectLockMode,
      ObjectLockRetainUntilDate: lock.ObjectLockRetainUntilDate,
      ObjectLockLegalHoldStatus: lock.ObjectLockLegalHoldStatus,
    }),
  );
  const { ETag } = await s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'v' }));
  const done = await s3.send(
    new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
  );
  return done.VersionId as string;
}
