import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  DisableKeyCommand,
  KMSClient,
  ListAliasesCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClients } from '../../lib/cli/clients.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { root, synthesize, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import {
  backupBucketName,
  keyAlias,
  replicationRoleName,
  scheduleName,
  vaultBucketName,
  vaultKeyAlias,
  vaultReaderRoleName,
} from '../../lib/config/names.ts';
import { Accounts } from '../../local/accounts.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import type { ClientConfig } from '../../local/host.ts';

/**
 * The administrator of pgdr's account turns against it: backups in both regions, the keys, the rules, and whatever of
 * the vault is within reach. Then the account and the server are gone, and the vault's account restores by itself.
 */

const system = 'raided';
const [pgdrAccount, vaultAccount] = ['111122223333', '222233334444'];
const [primary, recovery, vaultRegion] = ['eu-north-1', 'us-east-1', 'eu-west-1'];
const config = join(import.meta.dirname, 'ransomware.config.ts');
const vaultBucket = vaultBucketName(system, vaultAccount, vaultRegion);
const bucketOf = (region: string) => backupBucketName(system, pgdrAccount, region);

const undo: (() => Promise<unknown>)[] = [];
const accounts = new Accounts();
const postgres = providePostgres(() => {});
let cloud: Cloud;
let closed: Promise<void> | undefined;
let vault: Cloud;
let source: PostgresServer;
let directory: string;

const schema = `
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, amount numeric NOT NULL);
  INSERT INTO customers SELECT g, 'customer ' || md5(g::text) FROM generate_series(1, 300) g;
  INSERT INTO orders SELECT g, 1 + g % 300, g * 1.5 FROM generate_series(1, 3000) g;`;

async function makeServer(name: string, database?: string) {
  const server = await startPostgres({ bin: postgres.bin, directory: join(directory, name) });
  undo.push(() => server.stop());
  if (database === undefined) return server;
  for (const [at, sql] of [
    ['postgres', `CREATE DATABASE ${database}`],
    [database, schema],
  ] as const) {
    const client = await server.connect(at);
    await client.query(sql);
    await client.end();
  }
  return server;
}

function keepSecret(at: ClientConfig, Name: string, { host, port, superuser }: PostgresServer, dbname: string) {
  const { user: username, password } = superuser;
  const SecretString = JSON.stringify({ host, port, username, password, dbname, sslmode: 'disable' });
  return new SecretsManagerClient(at).send(new CreateSecretCommand({ Name, SecretString }));
}

async function versionsIn(client: s3.S3Client, Bucket: string) {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new s3.ListObjectVersionsCommand({ Bucket }));
  return [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
}

const arrived = async () => {
  while (cloud.s3.replication.backlog() > 0) await new Promise((done) => setTimeout(done, 50));
};

/** What the vault's account runs, on a machine of its own and with nothing of the other account. */
function pgdr(
  args: readonly string[],
  environment: Record<string, string>,
): Promise<{ code: number | null; result: unknown }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['bin/pgdr.ts', ...args, '--json'], {
      cwd: root,
      env: { ...process.env, PG_BIN: postgres.bin, PGDR_CONFIG: config, ...environment },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.on('close', (code) => done({ code, result: stdout ? JSON.parse(stdout) : stderr }));
  });
}

beforeAll(async () => {
  const run = openRunDirectory(join(workDirectory, 'rehearse'), `ransomware-${process.pid}`);
  undo.push(async () => run.close());
  directory = run.path;
  mkdirSync(directory, { recursive: true });
  const environment = { PGDR_REHEARSE_MAJOR: String(postgres.major) };
  process.env.PGDR_REHEARSE_MAJOR = environment.PGDR_REHEARSE_MAJOR;
  const vaultApp = await synthesize(config, environment, 'bin/vault.ts');
  const app = await synthesize(config, environment);
  vault = await startCloud({
    assembly: vaultApp.directory,
    directory: join(directory, 'vault'),
    account: vaultAccount,
    accounts,
  });
  undo.push(() => vault.close());
  cloud = await startCloud({
    assembly: app.directory,
    directory: join(directory, 'cloud'),
    account: pgdrAccount,
    accounts,
    containerPath: () => [postgres.bin],
  });
  undo.push(() => closed ?? cloud.close());
  source = await makeServer('source', 'orders');
  await keepSecret(cloud.client(primary), 'orders/primary', source, 'orders');

  const clients = createClients(cloud.client(primary));
  undo.push(async () => clients.close());
  const { executionArn } = await cloud.scheduler.fire(primary, scheduleName(system, 'orders', 'backup-logical'));
  const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
  expect(execution.status, execution.cause).toBe('SUCCEEDED');
  await arrived();
});
afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A client of the administrator of pgdr's account, who calls the vault's endpoint where that is what is named. */
const attacker = (region: string, at: Cloud = cloud) =>
  new s3.S3Client({ ...cloud.client(region), endpoint: at.endpoint });
const attackerOfKeys = (region: string, at: Cloud = cloud) =>
  new KMSClient({ ...cloud.client(region), endpoint: at.endpoint });

describe('before', () => {
  it('every version is in three places, and in the vault it belongs to the vault', async () => {
    const inVault = await versionsIn(new s3.S3Client(vault.client(vaultRegion)), vaultBucket);
    expect(inVault.length).toBeGreaterThan(4);
    for (const region of [primary, recovery]) {
      const there = await versionsIn(attacker(region), bucketOf(region));
      for (const version of inVault) expect(there).toContainEqual(version);
    }
  });

  it('what copies there uses all that it is allowed for it', () => {
    const unused = cloud
      .unusedPermissions()
      .filter(({ role }) => role.endsWith(replicationRoleName(system, primary)))
      .map(({ action, resource }) => `${action} ${resource}`);
    expect(unused.filter((permission) => permission.includes('vault'))).toEqual([
      // Nothing of pgdr has tags yet.
      `s3:ReplicateTags arn:aws:s3:::${vaultBucket}/*`,
    ]);
  });
});

describe('the attack', () => {
  it('writes rubbish over every manifest, which is copied everywhere like all that is written', async () => {
    const client = attacker(primary);
    const versions = await versionsIn(client, bucketOf(primary));
    const manifests = versions.filter(({ Key }) => /manifest\.json|verification\.json/.test(Key ?? ''));
    expect(manifests.length).toBeGreaterThan(1);
    for (const { Key } of manifests) {
      await client.send(new s3.PutObjectCommand({ Bucket: bucketOf(primary), Key, Body: 'pay' }));
      await client.send(new s3.DeleteObjectCommand({ Bucket: bucketOf(primary), Key }));
    }
    await arrived();
    const inVault = await versionsIn(new s3.S3Client(vault.client(vaultRegion)), vaultBucket);
    expect(inVault.filter(({ Key }) => Key === manifests[0]?.Key).length).toBe(2);
  });

  it.each([
    [
      'deletes versions',
      (Key: string, VersionId: string) => new s3.DeleteObjectCommand({ Bucket: vaultBucket, Key, VersionId }),
    ],
    [
      'bypasses governance',
      (Key: string, VersionId: string) =>
        new s3.DeleteObjectCommand({ Bucket: vaultBucket, Key, VersionId, BypassGovernanceRetention: true }),
    ],
    ['hides it', (Key: string) => new s3.DeleteObjectCommand({ Bucket: vaultBucket, Key })],
    [
      'shortens the retention',
      (Key: string, VersionId: string) =>
        new s3.PutObjectRetentionCommand({
          Bucket: vaultBucket,
          Key,
          VersionId,
          BypassGovernanceRetention: true,
          Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + 60_000) },
        }),
    ],
    ['overwrites', (Key: string) => new s3.PutObjectCommand({ Bucket: vaultBucket, Key, Body: 'pay' })],
    ['reads', (Key: string, VersionId: string) => new s3.GetObjectCommand({ Bucket: vaultBucket, Key, VersionId })],
    [
      'lets the lifecycle do it',
      () =>
        new s3.PutBucketLifecycleConfigurationCommand({
          Bucket: vaultBucket,
          LifecycleConfiguration: {
            Rules: [{ ID: 'all', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } }],
          },
        }),
    ],
    [
      'takes the lock off the bucket',
      () =>
        new s3.PutObjectLockConfigurationCommand({
          Bucket: vaultBucket,
          ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' },
        }),
    ],
    [
      'changes the policy',
      () => new s3.PutBucketPolicyCommand({ Bucket: vaultBucket, Policy: '{"Version":"2012-10-17","Statement":[]}' }),
    ],
    ['removes the policy', () => new s3.DeleteBucketPolicyCommand({ Bucket: vaultBucket })],
    [
      'suspends versions',
      () =>
        new s3.PutBucketVersioningCommand({ Bucket: vaultBucket, VersioningConfiguration: { Status: 'Suspended' } }),
    ],
    ['deletes the bucket', () => new s3.DeleteBucketCommand({ Bucket: vaultBucket })],
  ] as const)('%s in the vault: refused, and to the role that copies too', async (_, command) => {
    const [{ Key = '', VersionId = '' } = {}] = await versionsIn(
      new s3.S3Client(vault.client(vaultRegion)),
      vaultBucket,
    );
    const role = `arn:aws:iam::${pgdrAccount}:role/${replicationRoleName(system, primary)}`;
    const credentials = { ...(accounts.get(pgdrAccount)?.world.credentialsFor(role, 'stolen') as object) };
    for (const client of [
      attacker(vaultRegion, vault),
      new s3.S3Client({ ...vault.client(vaultRegion), credentials: credentials as ClientConfig['credentials'] }),
    ]) {
      await expect(client.send(command(Key, VersionId) as s3.GetObjectCommand)).rejects.toMatchObject({
        name: 'AccessDenied',
      });
    }
  });

  it('takes away the key of the vault: refused', async () => {
    const own = new KMSClient(vault.client(vaultRegion));
    const { Aliases = [] } = await own.send(new ListAliasesCommand({}));
    const id = Aliases.find(({ AliasName }) => AliasName === vaultKeyAlias(system))?.TargetKeyId;
    const KeyId = `arn:aws:kms:${vaultRegion}:${vaultAccount}:key/${id}`;
    const kms = attackerOfKeys(vaultRegion, vault);
    for (const command of [
      new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }),
      new DisableKeyCommand({ KeyId }),
      new PutKeyPolicyCommand({ KeyId, Policy: '{}' }),
    ]) {
      await expect(kms.send(command as DisableKeyCommand)).rejects.toMatchObject({ name: 'AccessDeniedException' });
    }
    // Nor does anybody of the vault's own account, in passing.
    await expect(own.send(new DisableKeyCommand({ KeyId }))).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });

  it('destroys everything in its own account: versions, rules, buckets and keys of both regions', async () => {
    for (const region of [primary, recovery]) {
      const [client, Bucket] = [attacker(region), bucketOf(region)];
      await client.send(new s3.DeleteBucketReplicationCommand({ Bucket })).catch(() => {});
      for (const version of await versionsIn(client, Bucket))
        await client.send(new s3.DeleteObjectCommand({ Bucket, ...version, BypassGovernanceRetention: true }));
      await client.send(new s3.DeleteBucketPolicyCommand({ Bucket }));
      await client.send(new s3.DeleteBucketCommand({ Bucket }));
      await expect(client.send(new s3.HeadBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'NotFound' });
      const kms = attackerOfKeys(region);
      const { Aliases = [] } = await kms.send(new ListAliasesCommand({}));
      const KeyId = Aliases.find(({ AliasName }) => AliasName === keyAlias(system))?.TargetKeyId;
      await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    }
  });

  it('nothing is left of the account, nor of the server', async () => {
    closed = cloud.close();
    await closed;
    await source.stop();
    await expect(fetch(cloud.endpoint)).rejects.toThrow();
  });
});

describe('after', () => {
  it('the vault proves the backup to L5 with its reading role, and nothing of the other account', async () => {
    const role = `arn:aws:iam::${vaultAccount}:role/${vaultReaderRoleName(system, vaultRegion)}`;
    const credentials = accounts.get(vaultAccount)?.world.credentialsFor(role, 'incident');
    const { code, result } = await pgdr(
      ['restore-test', 'orders', '--from-bucket', vaultBucket, '--region', vaultRegion],
      {
        ...vault.environment(vaultRegion),
        AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? '',
        AWS_SECRET_ACCESS_KEY: credentials?.secretAccessKey ?? '',
        AWS_SESSION_TOKEN: credentials?.sessionToken ?? '',
      },
    );
    expect(result).toMatchObject({ ok: true, outcome: { proof: { level: 'L5', databases: ['orders'] } } });
    expect(code).toBe(0);
  });

  it('and restores it into a new server, row by row what was there', async () => {
    const target = await makeServer('target');
    await keepSecret(vault.client(vaultRegion), 'orders/new', target, 'postgres');
    const { result } = await pgdr(
      [
        ...['restore', 'orders', '--from-bucket', vaultBucket, '--region', vaultRegion],
        ...['--target-secret', 'orders/new', '--to-database', 'orders'],
      ],
      vault.environment(vaultRegion),
    );
    expect(result).toMatchObject({ ok: true, outcome: { restore: { toDatabase: 'orders', rows: '3300' } } });
    const client = await target.connect('orders');
    const { rows } = await client.query('SELECT count(*)::int AS n, sum(amount)::text AS sum FROM orders');
    await client.end();
    expect(rows).toEqual([{ n: 3000, sum: '6752250.0' }]);
  });
});
