import { zstdDecompressSync } from 'node:zlib';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listKeys, readBackup } from '../../lib/cli/evidence.ts';
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

beforeAll(async () => {
  runs = await startRestoreRuns('encrypted', 2_000_000, { clientEncryption: true });
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

  it('gives a single table back from a backup whose objects lie in two', async () => {
    const { summary, failure } = await runs.restore({ tables: ['public.ships'], toDatabase: 'one_table' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ tables: 1, rows: '40000' });
    expect(await runs.sql('one_table', 'SELECT DISTINCT captain FROM ships')).toEqual([{ captain: secret }]);
  });
});
