import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { auditWal } from '../../lambdas/audit-wal.ts';
import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { walIdentityKey, walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const mib = 2 ** 20;
const of = { system: 'acme', database: 'orders', lineage: 'main' };
const compress = (bytes: Buffer) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
const segment = (nth: number) => walSegmentKey(of, segmentName(1, BigInt(nth * mib), mib));
const lastPart = walPartKey(of, segmentName(1, BigInt(4 * mib), mib), BigInt(4 * mib), BigInt(4 * mib + 500));

describe('the audit of stored WAL', () => {
  let server: S3Server | undefined;
  let store: ObjectStore;
  beforeEach(async () => {
    await server?.close();
    server = await startS3();
    server.bucket('backups', { VersioningConfiguration: { Status: 'Enabled' } });
    store = { s3: server.client({ maxAttempts: 2 }), bucket: 'backups' };
    const identity = {
      schemaVersion: 1,
      systemIdentifier: '7',
      walSegmentBytes: mib,
      startedAt: '2026-11-21T02:00:00Z',
    };
    await putOnce(store, walIdentityKey(of), Buffer.from(JSON.stringify(identity)));
    for (let nth = 0; nth < 4; nth++) await putOnce(store, segment(nth), compress(Buffer.alloc(mib, nth)));
    await putOnce(store, lastPart, compress(Buffer.alloc(500)));
  });
  afterAll(() => server?.close());

  const audit = async () => (await auditWal(store, of, new Date())).findings;
  const fileOf = (key: string) => server?.facade.locate('backups', key) as string;

  it('finds nothing amiss where nothing is', async () => {
    expect(await auditWal(store, of, new Date())).toMatchObject({ objects: 6, read: 5, findings: [] });
  });

  it('reads what is new, and of what is old the next few, run by run', async () => {
    const hour = 3_600_000;
    const started = Date.now();
    let memory = (await auditWal(store, of, new Date())).memory;
    const reads: number[] = [];
    for (let i = 1; i <= 6; i++) {
      const run = await auditWal(store, of, new Date(started + i * hour), memory);
      reads.push(run.read);
      memory = run.memory;
    }
    // What came shortly before the run before it, once more; then a 72nd of five objects, which is one, in turn.
    expect(reads).toEqual([5, 1, 1, 1, 1, 1]);
    expect(memory.sweptTo).toBeUndefined();
  });

  it('goes on to tell of what is broken, and stops when it is mended', async () => {
    const path = fileOf(segment(3));
    const sound = readFileSync(path);
    truncateSync(path, 20);
    const first = await auditWal(store, of, new Date());
    expect(first.memory.broken).toEqual([segment(3)]);
    const later = new Date(Date.now() + 7 * 24 * 3_600_000);
    expect((await auditWal(store, of, later, first.memory)).findings).toMatchObject([{ kind: 'broken' }]);
    writeFileSync(path, sound);
    expect(await auditWal(store, of, later, first.memory)).toMatchObject({ findings: [], memory: { broken: [] } });
  });

  it('waits for what may still be on its way, and tells of it when it does not come', async () => {
    const at = (from: number, to: number) =>
      walPartKey(of, segmentName(1, BigInt(4 * mib), mib), BigInt(4 * mib + from), BigInt(4 * mib + to));
    await putOnce(store, at(600, 700), compress(Buffer.alloc(100)));
    expect(await audit()).toEqual([]);
    const later = new Date(Date.now() + 3_600_000);
    expect((await auditWal(store, of, later)).findings).toEqual([
      { kind: 'missing', what: 'timeline 1 from 0/4001F4 to 0/400258' },
    ]);
  });

  it('finds a segment that was deleted', async () => {
    await store.s3.send(new DeleteObjectCommand({ Bucket: 'backups', Key: segment(2) }));
    expect(await audit()).toEqual([{ kind: 'missing', what: 'timeline 1 from 0/200000 to 0/300000' }]);
  });

  it('finds one that was written a second time, even with content that reads well', async () => {
    const Body = compress(Buffer.alloc(mib, 9));
    await store.s3.send(new PutObjectCommand({ Bucket: 'backups', Key: segment(1), Body }));
    expect(await audit()).toEqual([{ kind: 'altered', what: `${segment(1)} was written 2 times` }]);
  });

  it('finds one that is shorter than its name says', async () => {
    const short = walPartKey(of, segmentName(1, BigInt(4 * mib), mib), BigInt(4 * mib + 500), BigInt(4 * mib + 900));
    await putOnce(store, short, compress(Buffer.alloc(300)));
    expect(await audit()).toEqual([{ kind: 'broken', what: `${short} holds 300 bytes, its key says 400` }]);
  });

  it('finds bytes that were cut off in the store', async () => {
    truncateSync(fileOf(segment(3)), 20);
    const [finding, ...others] = await audit();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ kind: 'broken' });
  });

  it('finds that nobody can say whose WAL it is', async () => {
    await store.s3.send(new DeleteObjectCommand({ Bucket: 'backups', Key: walIdentityKey(of) }));
    expect(await audit()).toEqual([{ kind: 'missing', what: walIdentityKey(of) }]);
  });
});
