import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketReplicationCommand,
  PutObjectCommand,
  type ReplicationRule,
  S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { allow, as, document, host, make, refusal, region, role } from './iam-host.ts';

describe('S3', () => {
  const bucket = async (properties: object = {}) => (await make('AWS::S3::Bucket', properties)).ref;
  const locked = {
    ObjectLockEnabled: true,
    VersioningConfiguration: { Status: 'Enabled' },
  };
  const put = (Bucket: string, Key: string, rest: object = {}) =>
    new PutObjectCommand({ Bucket, Key, Body: 'x', ...rest });
  const admin = () => new S3Client(host.client(region));

  it('tells of a missing object only who may list the bucket, without a condition on prefixes', async () => {
    const Bucket = await bucket();
    const get = new GetObjectCommand({ Bucket, Key: 'a/none' });
    const head = new HeadObjectCommand({ Bucket, Key: 'a/none' });
    const read = allow('s3:GetObject', `arn:aws:s3:::${Bucket}/*`);
    const blind = new S3Client(await as(read));
    const refused = await refusal(blind.send(get));
    expect(refused).toMatchObject({ code: 'AccessDenied' });
    expect(refused.message).toContain(`s3:ListBucket on resource: "arn:aws:s3:::${Bucket}"`);
    await expect(blind.send(head)).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });

    const prefix = { Condition: { StringLike: { 's3:prefix': 'a/*' } } };
    const partial = new S3Client(await as(read, allow('s3:ListBucket', `arn:aws:s3:::${Bucket}`, prefix)));
    expect((await refusal(partial.send(get))).code).toBe('AccessDenied');
    await partial.send(new ListObjectsV2Command({ Bucket, Prefix: 'a/b' }));
    for (const Prefix of ['b/', undefined]) {
      const list = new ListObjectsV2Command({ Bucket, Prefix });
      expect((await refusal(partial.send(list))).code).toBe('AccessDenied');
    }

    const seeing = new S3Client(await as(read, allow('s3:ListBucket', `arn:aws:s3:::${Bucket}`)));
    await expect(seeing.send(get)).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(seeing.send(head)).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
  });

  it('is handed a role to replicate as by those alone who may pass it on to S3', async () => {
    const versioned = { VersioningConfiguration: { Status: 'Enabled' } };
    const [Bucket, other] = [await bucket(versioned), await bucket(versioned)];
    const Role = await role([], 's3.amazonaws.com');
    const Rules: ReplicationRule[] = [
      { ID: 'all', Status: 'Enabled', Prefix: '', Destination: { Bucket: `arn:aws:s3:::${other}` } },
    ];
    const configure = new PutBucketReplicationCommand({ Bucket, ReplicationConfiguration: { Role, Rules } });
    const may = allow('s3:PutReplicationConfiguration', `arn:aws:s3:::${Bucket}`);
    const refused = await refusal(new S3Client(await as(may)).send(configure));
    expect(refused.message).toContain(`iam:PassRole on resource: ${Role}`);
    const passes = { Condition: { StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } } };
    await new S3Client(await as(may, allow('iam:PassRole', Role, passes))).send(configure);
  });

  it('takes another permission for a version than for the current object', async () => {
    const Bucket = await bucket(locked);
    const { VersionId } = await admin().send(put(Bucket, 'k'));
    const [current, version] = ['s3:GetObject', 's3:GetObjectVersion'].map((action) => allow(action));
    const get = (VersionId?: string) => new GetObjectCommand({ Bucket, Key: 'k', VersionId });
    const one = new S3Client(await as(current as object));
    await one.send(get());
    expect((await refusal(one.send(get(VersionId)))).message).toContain('s3:GetObjectVersion');
    const other = new S3Client(await as(version as object));
    await other.send(get(VersionId));
    expect((await refusal(other.send(get()))).message).toContain('perform: s3:GetObject ');
  });

  it('takes permissions for locks at their writing, and for getting around them', async () => {
    const Bucket = await bucket(locked);
    const writer = new S3Client(await as(allow(['s3:PutObject', 's3:DeleteObjectVersion'])));
    await writer.send(put(Bucket, 'plain'));
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: new Date(Date.now() + 86_400_000) };
    expect((await refusal(writer.send(put(Bucket, 'k', lock)))).message).toContain('s3:PutObjectRetention');
    const hold = put(Bucket, 'k', { ObjectLockLegalHoldStatus: 'ON' });
    expect((await refusal(writer.send(hold))).message).toContain('s3:PutObjectLegalHold');

    const { VersionId } = await admin().send(put(Bucket, 'k', lock));
    const remove = new DeleteObjectCommand({ Bucket, Key: 'k', VersionId, BypassGovernanceRetention: true });
    expect((await refusal(writer.send(remove))).message).toContain('s3:BypassGovernanceRetention');
    await new S3Client(await as(allow(['s3:DeleteObjectVersion', 's3:BypassGovernanceRetention']))).send(remove);
  });

  it('holds the administrator to locks and to what a bucket forbids everybody', async () => {
    const Bucket = await bucket(locked);
    const until = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: new Date(Date.now() + 86_400_000) };
    const { VersionId } = await admin().send(put(Bucket, 'k', until));
    const remove = new DeleteObjectCommand({ Bucket, Key: 'k', VersionId, BypassGovernanceRetention: true });
    expect((await refusal(admin().send(remove))).message).toContain('object lock');
    await make('AWS::S3::BucketPolicy', {
      Bucket,
      PolicyDocument: document(
        { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${Bucket}/no/*` },
        {
          Effect: 'Deny',
          Principal: { AWS: '*' },
          Action: 's3:*',
          Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ),
    });
    await admin().send(put(Bucket, 'yes/k'));
    expect((await refusal(admin().send(put(Bucket, 'no/k')))).message).toContain(
      'with an explicit deny in a resource-based policy',
    );
  });

  it('asks for each of the keys that one call deletes', async () => {
    const Bucket = await bucket();
    for (const key of ['a/1', 'a/2', 'b/1']) await admin().send(put(Bucket, key));
    const client = new S3Client(await as(allow('s3:DeleteObject', `arn:aws:s3:::${Bucket}/a/*`)));
    const Objects = ['a/1', 'a/2', 'b/1'].map((Key) => ({ Key }));
    const answer = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(answer.Deleted?.map(({ Key }) => Key)).toEqual(['a/1', 'a/2']);
    expect(answer.Errors).toMatchObject([
      { Key: 'b/1', Code: 'AccessDenied', Message: expect.stringContaining('b/1') },
    ]);
    await admin().send(new HeadObjectCommand({ Bucket, Key: 'b/1' }));
  });

  it('takes reading the source of a copy', async () => {
    const [from, to] = [await bucket(), await bucket()];
    await admin().send(put(from, 'k'));
    const copy = new CopyObjectCommand({ Bucket: to, Key: 'k', CopySource: `${from}/k` });
    const write = allow('s3:PutObject', `arn:aws:s3:::${to}/*`);
    const refused = await refusal(new S3Client(await as(write)).send(copy));
    expect(refused.message).toContain(`s3:GetObject on resource: "arn:aws:s3:::${from}/k"`);
    await new S3Client(await as(write, allow('s3:GetObject', `arn:aws:s3:::${from}/*`))).send(copy);
  });

  it('lets in whom the bucket names, and nobody else', async () => {
    const Bucket = await bucket();
    const arn = await role([]);
    await make('AWS::S3::BucketPolicy', {
      Bucket,
      PolicyDocument: document(allow('s3:ListBucket', `arn:aws:s3:::${Bucket}`, { Principal: { AWS: arn } })),
    });
    const config = (of: string) => ({ ...host.client(region), credentials: host.world.credentialsFor(of, 'session') });
    await new S3Client(config(arn)).send(new HeadBucketCommand({ Bucket }));
    const stranger = new S3Client(config(await role([])));
    await expect(stranger.send(new HeadBucketCommand({ Bucket }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
  });
});
