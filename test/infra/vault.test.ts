import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../lib/config/schema.ts';
import { buildVaultApp } from '../../lib/stacks/build-app.ts';
import { flat, type Loose, sample, statements, synthesize, synthesizeVault } from './assembly.ts';

/** The vault: what it lets in, and what it refuses to whom. What that comes to is test/scenarios/ransomware.test.ts. */

const vault = { account: '222233334444', sourceAccount: '111122223333', region: 'eu-west-1' } as const;
const own = synthesizeVault(vault);
const stack = 'acme-vault-eu-west-1';
const bucketName = 'acme-pgdr-vault-222233334444-eu-west-1';
const policyOf = (type: string, property: string) =>
  own.resources(stack, type).at(-1)?.Properties[property].Statement as Loose[];

describe('the stack of the vault', () => {
  test('is of the vault, and depends on nothing', () => {
    expect(own.stacks.map(({ name, environment, dependencies }) => [name, environment, dependencies])).toEqual([
      [stack, 'aws://222233334444/eu-west-1', []],
    ]);
  });

  test('holds a bucket with Object Lock under a key of its own, and expires copies by its lifecycle', () => {
    const bucket = own
      .resources(stack, 'AWS::S3::Bucket')
      .find(({ Properties }) => Properties.BucketName === bucketName);
    expect(bucket.Properties).toMatchObject({
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } } },
      VersioningConfiguration: { Status: 'Enabled' },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    });
    expect(bucket.Properties.LifecycleConfiguration.Rules[1]).toMatchObject({
      ExpirationInDays: 90,
      NoncurrentVersionExpiration: { NoncurrentDays: 1 },
    });
  });

  test('lets nothing in from outside but copies, by the two roles that copy', () => {
    const allowed = policyOf('AWS::S3::BucketPolicy', 'PolicyDocument').filter(({ Effect }) => Effect === 'Allow');
    const roles = ['eu-north-1', 'us-east-1'].map(
      (region) => `arn:aws:iam::111122223333:role/acme-pgdr-replication-${region}`,
    );
    for (const { Principal, Condition } of allowed) {
      expect(Principal).toEqual({ AWS: 'arn:aws:iam::111122223333:root' });
      expect(Condition).toEqual({ ArnEquals: { 'aws:PrincipalArn': roles } });
    }
    expect(allowed.flatMap(({ Action }) => Action)).toEqual([
      's3:ObjectOwnerOverrideToBucketOwner',
      's3:ReplicateObject',
      's3:ReplicateTags',
      's3:GetBucketVersioning',
    ]);
    const denied = policyOf('AWS::S3::BucketPolicy', 'PolicyDocument').find(({ NotAction }) => NotAction);
    expect([...denied.NotAction].sort()).toEqual([...allowed.flatMap(({ Action }) => Action)].sort());
    expect(denied.Condition).toEqual({ StringNotEquals: { 'aws:PrincipalAccount': '222233334444' } });
  });

  test('its key seals for the roles that copy, opens for nobody outside, and is not taken away in passing', () => {
    const key = policyOf('AWS::KMS::Key', 'KeyPolicy');
    const outside = key.filter(({ Principal }) => JSON.stringify(Principal).includes('111122223333'));
    expect(outside.map(({ Action }) => Action)).toEqual(['kms:Encrypt']);
    expect(key.find(({ Effect }) => Effect === 'Deny').Action).toEqual([
      'kms:DisableKey',
      'kms:PutKeyPolicy',
      'kms:ScheduleKeyDeletion',
    ]);
  });

  test('its reader may read, and nothing else', () => {
    expect(statements(own.template(stack)).flatMap(({ actions }) => actions)).toEqual([
      's3:ListBucket',
      's3:ListBucketVersions',
      's3:GetObject',
      's3:GetObjectVersion',
      'kms:Decrypt',
    ]);
  });
});

describe('with a vault, pgdr', () => {
  const assembly = synthesize({ vault });

  test.each(['eu-north-1', 'us-east-1'])(
    'copies what is backed up in %s there too, to belong to the vault',
    (region) => {
      const [, bucket] = assembly.resources(`acme-platform-${region}`, 'AWS::S3::Bucket');
      const [custom] = assembly.resources('acme-platform-eu-north-1', 'Custom::BucketReplication');
      const { Rules } =
        region === 'eu-north-1'
          ? bucket.Properties.ReplicationConfiguration
          : JSON.parse(flat(custom.Properties.Configuration));
      expect(Rules[1]).toMatchObject({
        Priority: 2,
        DeleteMarkerReplication: { Status: 'Disabled' },
        Destination: {
          Bucket: `arn:aws:s3:::${bucketName}`,
          Account: '222233334444',
          AccessControlTranslation: { Owner: 'Destination' },
          EncryptionConfiguration: { ReplicaKmsKeyID: 'arn:aws:kms:eu-west-1:222233334444:alias/acme-pgdr-vault' },
        },
      });
      const allowed = statements(assembly.template(`acme-platform-${region}`)).filter(({ resources }) =>
        resources.some((resource) => resource.includes('vault') || resource.includes('222233334444')),
      );
      expect(allowed.flatMap(({ actions }) => actions)).toEqual([
        's3:ObjectOwnerOverrideToBucketOwner',
        's3:ReplicateObject',
        's3:ReplicateTags',
        'kms:Encrypt',
      ]);
    },
  );

  test('refuses what would make copies that nobody can read, or a vault in its own account', () => {
    const [orders] = sample.databases;
    const encrypted = [{ ...(orders as object), logical: { clientEncryption: true } }] as Loose;
    expect(() => parseConfig({ ...sample, vault, databases: encrypted })).toThrow(
      /clientEncryption is true beside vault/,
    );
    const same = { ...vault, account: vault.sourceAccount };
    expect(() => parseConfig({ ...sample, vault: same })).toThrow(
      /vault\.account is '111122223333', the account of pgdr/,
    );
    expect(() => buildVaultApp(parseConfig(sample))).toThrow(/has no vault/);
  });
});
