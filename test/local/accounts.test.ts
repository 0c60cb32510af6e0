import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EncryptCommand, GetKeyPolicyCommand, KMSClient, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { App, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Accounts } from '../../local/accounts.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';

/** Two accounts: what one of them may do in the other is decided by both. */

const region = 'eu-north-1';
const [ours, theirs] = ['111122223333', '444455556666'];
const folder = mkdtempSync(join(tmpdir(), 'accounts-'));
const accounts = new Accounts();
let here: Cloud;
let there: Cloud;

function synthesize(name: string, build: (stack: Stack) => void): string {
  const outdir = join(folder, name);
  const app = new App({ outdir, analyticsReporting: false });
  build(new Stack(app, name, { env: { region } }));
  app.synth();
  return outdir;
}

beforeAll(async () => {
  const root = new iam.AccountPrincipal(ours);
  const their = synthesize('theirs', (stack) => {
    const key = new kms.Key(stack, 'Key');
    key.addAlias('alias/shared');
    const guest = { principals: [root], resources: ['*'] };
    key.addToResourcePolicy(new iam.PolicyStatement({ ...guest, actions: ['kms:Encrypt'] }));
    const bucket = new s3.Bucket(stack, 'Copy', { bucketName: 'copy', versioned: true });
    const actions = ['s3:ReplicateObject', 's3:ObjectOwnerOverrideToBucketOwner', 's3:GetObject'];
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({ principals: [root], actions, resources: [bucket.arnForObjects('*')] }),
    );
  });
  const own = synthesize('ours', (stack) => {
    const role = new iam.Role(stack, 'Role', {
      assumedBy: new iam.ServicePrincipal('s3.amazonaws.com'),
      roleName: 'copier',
    });
    const bucket = new s3.CfnBucket(stack, 'Source', {
      bucketName: 'source',
      versioningConfiguration: { status: 'Enabled' },
      replicationConfiguration: {
        role: role.roleArn,
        rules: [
          {
            status: 'Enabled',
            priority: 1,
            filter: { prefix: '' },
            deleteMarkerReplication: { status: 'Disabled' },
            destination: {
              bucket: 'arn:aws:s3:::copy',
              account: theirs,
              accessControlTranslation: { owner: 'Destination' },
            },
          },
        ],
      },
    });
    const allow = (actions: string[], resources: string[]) =>
      role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    allow(['s3:GetReplicationConfiguration', 's3:ListBucket'], ['arn:aws:s3:::source']);
    allow(['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl'], ['arn:aws:s3:::source/*']);
    allow(['s3:ReplicateObject', 's3:ObjectOwnerOverrideToBucketOwner'], ['arn:aws:s3:::copy/*']);
    bucket.node.addDependency(role);
    new iam.Role(stack, 'Guest', { assumedBy: new iam.ServicePrincipal('s3.amazonaws.com'), roleName: 'guest' });
  });
  there = await startCloud({ assembly: their, directory: join(folder, 'there'), account: theirs, accounts });
  here = await startCloud({ assembly: own, directory: join(folder, 'here'), account: ours, accounts });
});
afterAll(async () => {
  await here?.close();
  await there?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A client of this account at the other one's endpoint. */
const abroad = () => ({ ...here.client(region), endpoint: there.endpoint, maxAttempts: 1 });

it('a bucket of another account is copied to, if it is the account that the rule names', async () => {
  await new S3Client(here.client(region)).send(new PutObjectCommand({ Bucket: 'source', Key: 'k', Body: 'text' }));
  await here.s3.settled();
  const head = await new S3Client(there.client(region)).send(new HeadObjectCommand({ Bucket: 'copy', Key: 'k' }));
  expect(head.ReplicationStatus).toBe('REPLICA');
  const unused = here.unusedPermissions().map(({ action }) => action);
  expect(unused).not.toContain('s3:ReplicateObject');
});

it('what the policy of the resource allows the account, its administrator may do, and nothing more', async () => {
  const s3Abroad = new S3Client(abroad());
  await s3Abroad.send(new GetObjectCommand({ Bucket: 'copy', Key: 'k' }));
  const denied = s3Abroad.send(new PutObjectCommand({ Bucket: 'copy', Key: 'k', Body: '' }));
  await expect(denied).rejects.toThrow(/:root is not authorized.*because no resource-based policy allows/);
  const [key] = there.stacks.flatMap(({ resources }) =>
    Object.values(resources).filter(({ type }) => type === 'AWS::KMS::Key'),
  );
  const KeyId = String(key?.made.attributes?.Arn);
  const kmsAbroad = new KMSClient(abroad());
  await kmsAbroad.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }));
  for (const command of [new ScheduleKeyDeletionCommand({ KeyId }), new GetKeyPolicyCommand({ KeyId })])
    await expect(kmsAbroad.send(command as GetKeyPolicyCommand)).rejects.toThrow(/no resource-based policy allows/);
});

it('a role needs its own policy besides', async () => {
  const credentials = accounts.get(ours)?.world.credentialsFor(`arn:aws:iam::${ours}:role/guest`, 'visit');
  const guest = new S3Client({ ...abroad(), credentials: { ...(credentials as NonNullable<typeof credentials>) } });
  const denied = guest.send(new GetObjectCommand({ Bucket: 'copy', Key: 'k' }));
  await expect(denied).rejects.toThrow(/because no identity-based policy allows/);
});

it('everybody stays who he is', async () => {
  const { Account } = await new STSClient(abroad()).send(new GetCallerIdentityCommand({}));
  expect(Account).toBe(ours);
});
