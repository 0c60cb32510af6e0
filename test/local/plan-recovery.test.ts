import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { baseBackupPrefix, manifestKey, verificationKey, walSegmentKey } from '../../lib/core/keys.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { planRecovery } from '../../tasks/recover.ts';
import { sampleObject } from '../unit/sample-manifest.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const of = { system: 'acme', database: 'orders', lineage: 'main' };
const older = '20261121T010000Z-4f2a9c';
const newer = '20261121T020000Z-51fe20';
const segmentBytes = 2 ** 24;

let server: S3Server;
let store: ObjectStore;
beforeAll(async () => {
  server = await startS3();
  server.bucket('backups', { VersioningConfiguration: { Status: 'Enabled' } });
  store = { s3: server.client(), bucket: 'backups' };
});
afterAll(() => server?.close());

async function storeBackup(id: string, text?: string): Promise<void> {
  const prefix = baseBackupPrefix(of, id);
  const objects = [];
  for (const [name, role] of [
    ['base.tar.zst', 'base'],
    ['backup_manifest', 'backup-manifest'],
  ] as const) {
    const object = sampleObject(`${prefix}${name}`, [5]);
    const { versionId } = await putOnce(store, object.key, Buffer.from('bytes'));
    objects.push({ ...object, role, versionId });
  }
  const manifest = {
    ...{ schemaVersion: 1, kind: 'physical', id, parentId: null, ...of, systemIdentifier: '77', timeline: 1 },
    ...{ serverVersionNum: 170010, startLsn: '0/2000028', stopLsn: '0/2000100', oldestRunningXid: '740' },
    ...{ startedAt: '2026-11-21T01:00:00Z', stoppedAt: '2026-11-21T01:01:00Z', walSegmentBytes: segmentBytes },
    ...{ dataChecksums: true, tablespaces: [], databases: [], superusers: ['postgres'], limits: {} },
    ...{ preloadLibraries: '', lockUntil: null, objects },
  };
  await putOnce(store, manifestKey(prefix), Buffer.from(text ?? JSON.stringify(manifest)));
  await putOnce(store, verificationKey(prefix), Buffer.from('{}'));
}

test('a base backup whose manifest cannot be read is no reason not to begin with another', async () => {
  await storeBackup(older);
  await storeBackup(newer, 'not JSON');
  for (const n of [2, 3]) {
    const key = walSegmentKey(of, segmentName(1, BigInt(n * segmentBytes), segmentBytes));
    await putOnce(store, key, Buffer.from('WAL'));
  }
  const { recovery } = await planRecovery(store, of, { kind: 'latest' }, { directory: server.directory });
  expect(recovery.backup.id).toBe(older);
});
