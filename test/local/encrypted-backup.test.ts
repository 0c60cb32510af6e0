import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listKeys, readBackup } from '../../lib/cli/evidence.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import type { BackupSummary } from '../../lib/core/outcome.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** A value that can be looked for in whatever is stored; long enough that no other bytes are like it. */
const secret = 'Zaphod.Beeblebrox@heart-of-gold.example';
const role = 'trillian_reads_all';

let runs: RestoreRuns;
let backup: BackupSummary;

const body = async (key: string): Promise<Buffer> => {
  const { clients, settings } = runs.rehearsal;
  const { Body } = await clients.s3.send(new GetObjectCommand({ Bucket: settings.bucket, Key: key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};

/** Everything that the bucket holds: what a principal reads who may read it all, and use the bucket's own key. */
async function readBucket(): Promise<{ key: string; bytes: Buffer }[]> {
  const { clients, settings } = runs.rehearsal;
  const keys = await listKeys(clients, settings.bucket, '');
  return Promise.all(keys.map(async (key) => ({ key, bytes: await body(key) })));
}

const unpacked = (bytes: Buffer): Buffer => {
  try {
    return zstdDecompressSync(bytes);
  } catch {
    return bytes;
  }
};

const copy = join(workDirectory, 'rehearse', `encrypted-${process.pid}.assembly`);

/** The key's policy denies the role of restores what holds single tables, whatever the role's own policy says. */
function denied(assembly: string): string {
  cpSync(assembly, copy, { recursive: true });
  const file = join(copy, 'rehearsal-keys-eu-north-1.template.json');
  const template = JSON.parse(readFileSync(file, 'utf8'));
  const [key] = Object.values<any>(template.Resources).filter(({ Type }) => Type === 'AWS::KMS::Key');
  key.Properties.KeyPolicy.Statement.push({
    Effect: 'Deny',
    Principal: { AWS: 'arn:aws:iam::111122223333:role/rehearsal-orders-recover-eu-north-1' },
    Action: 'kms:Decrypt',
    Resource: '*',
    Condition: { StringLike: { 'kms:EncryptionContext:pgdr-object': '*/tables/*' } },
  });
  writeFileSync(file, JSON.stringify(template));
  return copy;
}

beforeAll(async () => {
  runs = await startRestoreRuns('encrypted', 2_000_000, { clientEncryption: true, alter: denied });
  await runs.sql(
    'orders',
    `CREATE TABLE ships (id int PRIMARY KEY, captain text, log text);
     INSERT INTO ships SELECT i, '${secret}', md5(i::text) || md5((i + 1)::text) FROM generate_series(1, 40000) i;
     CREATE ROLE ${role} NOLOGIN; GRANT SELECT ON ships TO ${role}`,
  );
  backup = await runs.backup();
});
afterAll(async () => {
  await runs?.stop();
  rmSync(copy, { recursive: true, force: true });
});

describe('a database whose backups are encrypted before they are stored', () => {
  it('leaves nothing in the bucket that reads without the client key', async () => {
    const stored = await readBucket();
    expect(stored.length).toBeGreaterThan(6);
    for (const { key, bytes } of stored) {
      for (const text of [bytes, unpacked(bytes)]) {
        for (const value of [secret, role, 'ships', 'hash1']) expect([key, text.includes(value)]).toEqual([key, false]);
      }
    }
    const { clients, settings } = runs.rehearsal;
    const { manifest, verification } = await readBackup(clients, settings.bucket, backup.manifestKey);
    expect(manifest?.objects.every(({ encryption }) => encryption === 'aws-encryption-sdk')).toBe(true);
    expect(manifest).toMatchObject({
      sealed: { tables: backup.tables },
      databases: [{ name: 'orders', tables: [], grants: [] }],
      roles: [],
    });
    expect(verification?.bytes).toBe(backup.bytes);
  });

  it('is restored and proven to L5, and refers to what has not changed', async () => {
    const { outcome, failure } = await runs.rehearsal.run('restore-test');
    expect(failure).toBeUndefined();
    expect(outcome?.proof).toMatchObject({ level: 'L5', backupId: backup.id, tables: backup.tables });
    const next = await runs.backup();
    expect(next.newBytes).toBeLessThan(next.bytes * 0.7);
    const { clients, settings } = runs.rehearsal;
    const { manifest } = await readBackup(clients, settings.bucket, next.manifestKey);
    expect(manifest?.parentId).toBe(backup.id);
  });

  it('gives a single table back', async () => {
    const { summary, failure } = await runs.restore({ tables: ['public.products'], toDatabase: 'one_table' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ tables: 1 });
    const count = 'SELECT count(*)::text AS rows FROM products';
    expect(await runs.sql('one_table', count)).toEqual([{ rows: summary?.rows }]);
  });

  it('says in so many words that the policy of the key denies, and leaves no database that looks complete', async () => {
    const { failure } = await runs.restore({ tables: ['public.ships'], toDatabase: 'denied' });
    expect(failure).toMatchObject({
      error: 'EncryptionKeyRefused',
      runbook: 'docs/runbooks/encryption-key-refused.md',
    });
    expect(failure?.message).toMatch(/arn:aws:kms:eu-north-1:.*AccessDeniedException: .*orders-recover.*kms:Decrypt/);
    const [database] = await runs.sql(
      'postgres',
      "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = 'denied'",
    );
    expect(database?.comment).toMatch(/^pgdr: incomplete restore/);
  });
});
