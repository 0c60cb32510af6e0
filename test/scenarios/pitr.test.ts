import { randomBytes } from 'node:crypto';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { list, putOnce } from '../../lib/aws/object-store.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { walPointKey, walSegmentKey, walTimelinePrefix } from '../../lib/core/keys.ts';
import { parseLsn } from '../../lib/core/lsn.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { formatMicroseconds, microseconds } from '../../lib/core/recovery-target.ts';
import { describePoint } from '../../lib/core/restore-points.ts';
import { textToMicroseconds } from '../../lib/core/wal-records.ts';
import { AwsError } from '../../local/facade.ts';
import { type PhysicalRuns, startPhysicalRuns } from '../local/physical-runs.ts';

/** Recoveries of a real server from a real bucket: what arrives is exact, what cannot is refused, nothing is guessed. */

let runs: PhysicalRuns;
let backup: PhysicalManifest;
/** Rows are numbered in the order of their commits. */
const marks: { rows: number; before: string; lsn: string; xid: string }[] = [];

const count = 'SELECT count(*)::int AS rows, coalesce(max(id), 0)::int AS last FROM ledger';
const ask = async <T>(sql: string): Promise<T> => (await runs.client.query(sql)).rows[0] as T;
const clock = 'to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')';

/** Commits rows one transaction each, and notes a moment after the last. */
async function commit(transactions: number): Promise<void> {
  let xid = '';
  for (let i = 0; i < transactions; i++) {
    xid = (await ask<{ xid: string }>('INSERT INTO ledger DEFAULT VALUES RETURNING pg_current_xact_id()::text AS xid'))
      .xid;
  }
  const { rows } = await ask<{ rows: number }>(count);
  const moment = await ask<{ before: string; lsn: string }>(
    `SELECT ${clock} AS before, pg_current_wal_flush_lsn()::text AS lsn`,
  );
  marks.push({ rows, xid, ...moment });
}

beforeAll(async () => {
  runs = await startPhysicalRuns({ bin: providePostgres(() => {}).bin });
  await runs.client.query(
    'CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now())',
  );
  await commit(20);
  backup = await runs.backup();
  for (let segment = 0; segment < 4; segment++) {
    await commit(10);
    if (segment === 1) await runs.client.query("SELECT pg_create_restore_point('before the migration')");
    if (segment === 1) await runs.client.query('INSERT INTO ledger DEFAULT VALUES');
    await runs.ship();
  }
  await commit(5);
  await commit(1);
  await runs.shipPart();
});
afterEach(() => {
  runs.s3.intercept = undefined;
});
afterAll(() => runs?.close());

const mark = (i: number) => marks[i] as (typeof marks)[number];

describe('a recovery arrives exactly', () => {
  it('at the latest point, with what was only in a part of a segment', async () => {
    const { failure, answers, recovered } = await runs.recover({ kind: 'latest' }, [
      count,
      `SELECT current_setting('archive_mode') AS archive, current_setting('listen_addresses') AS listen,
              current_setting('primary_conninfo') AS primary, current_setting('max_logical_replication_workers') AS logical`,
    ]);
    expect(failure).toBeUndefined();
    expect(answers?.[0]).toEqual({ rows: mark(6).rows, last: mark(6).rows });
    expect(answers?.[1]).toEqual({ archive: 'off', listen: '', primary: '', logical: '0' });
    expect(recovered?.lastTransactionAt).not.toBeNull();
  });

  it.each([1, 2, 4])('at a time between two commits (%i)', async (i) => {
    const { failure, answers } = await runs.recover({ kind: 'time', time: mark(i).before }, [count]);
    expect(failure).toBeUndefined();
    expect(answers).toEqual([{ rows: mark(i).rows, last: mark(i).rows }]);
  });

  it('at an LSN', async () => {
    const { answers } = await runs.recover({ kind: 'lsn', lsn: mark(3).lsn }, [count]);
    expect(answers).toEqual([{ rows: mark(3).rows, last: mark(3).rows }]);
  });

  it('at a transaction', async () => {
    const { answers } = await runs.recover({ kind: 'xid', xid: mark(3).xid }, [count]);
    expect(answers).toEqual([{ rows: mark(3).rows, last: mark(3).rows }]);
  });

  it('at a named restore point', async () => {
    const { answers } = await runs.recover({ kind: 'name', name: 'before the migration' }, [count]);
    expect(answers).toEqual([{ rows: mark(2).rows, last: mark(2).rows }]);
  });
});

describe('what cannot be reached is refused before a byte is fetched', () => {
  const refused = async (target: unknown) => {
    const before = runs.s3.calls.length;
    const { failure } = await runs.recover(target);
    const read = runs.s3.calls.slice(before).filter(({ operation }) => operation === 'GetObject');
    expect(read.filter(({ input }) => /tar\.zst$/.test(String(input.Key)))).toEqual([]);
    expect(failure?.error).toBe('RecoveryTargetUnreachable');
    return failure?.message;
  };

  it('a time before the end of the backup, with the earliest there is', async () => {
    const early = formatMicroseconds(microseconds(backup.stoppedAt) - 1n);
    expect(await refused({ kind: 'time', time: early })).toContain(`The earliest point is ${backup.stoppedAt}`);
  });

  it('a time after the last commit, with the latest there is', async () => {
    const { at } = await ask<{ at: string }>(
      "SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI') AS at FROM ledger",
    );
    expect(await refused({ kind: 'time', time: mark(6).before })).toContain(`the last stored transaction is of ${at}`);
  });

  it('an LSN beyond what is stored', async () => {
    expect(await refused({ kind: 'lsn', lsn: 'FF/0' })).toContain('The latest point is LSN');
  });

  it('a transaction that had ended before the backup', async () => {
    expect(await refused({ kind: 'xid', xid: mark(0).xid })).toContain('The earliest point is');
  });

  it('a transaction beyond the last, with that one', async () => {
    expect(await refused({ kind: 'xid', xid: '4000000' })).toMatch(
      new RegExp(`ends before it\\. Nearest points: transaction ${mark(6).xid} \\(.*LSN`),
    );
  });

  it('a restore point that was never made, with those that were', async () => {
    expect(await refused({ kind: 'name', name: 'never made' })).toMatch(
      /not in the WAL that can be recovered\. Nearest points: before the migration \(.*LSN/,
    );
  });

  it('a restore point whose name was given twice, by what the receiver wrote down', async () => {
    for (const { lsn, before } of [mark(2), mark(3)]) {
      const point = { name: 'nightly', timeline: 1, lsn: parseLsn(lsn), at: textToMicroseconds(before) };
      const body = Buffer.from(JSON.stringify(describePoint(point)));
      await putOnce(runs.store, walPointKey(runs.lineage, 1, point.lsn), body);
    }
    expect(await refused({ kind: 'name', name: 'nightly' })).toContain(
      `2 points have this name: nightly (${mark(2).before}, LSN ${mark(2).lsn}), nightly (`,
    );
  });
});

describe('never a silent end', () => {
  const walRead = (key: unknown) => /\/wal\/[0-9A-F]{8}\//.test(String(key));

  it('during an outage of S3, which aborts', async () => {
    let reads = 0;
    runs.s3.intercept = ({ operation, input }) => {
      if (operation === 'GetObject' && walRead(input.Key) && ++reads > 2) throw new AwsError('SlowDown', 'outage', 503);
    };
    const { failure } = await runs.recover({ kind: 'latest' });
    expect(failure?.error).toBe('RecoveryAborted');
    expect(failure?.message).toContain('StorageRefused');
  });

  it('when the end of the WAL cannot be proven by a list', async () => {
    let lists = 0;
    runs.s3.intercept = ({ operation }) => {
      // The first two are the plan's.
      if (operation === 'ListObjectsV2' && ++lists > 2) throw new AwsError('SlowDown', 'outage', 503);
    };
    const { failure } = await runs.recover({ kind: 'latest' });
    expect(failure?.error).toBe('RecoveryAborted');
  });

  it('with an altered part, which aborts', async () => {
    const key = (await Array.fromAsync(list(runs.store, walTimelinePrefix(runs.lineage, 1)))).findLast((one) =>
      one.includes('/parts/'),
    );
    const object = { Bucket: runs.store.bucket, Key: key };
    const { VersionId } = await runs.store.s3.send(new PutObjectCommand({ ...object, Body: randomBytes(4000) }));
    const { failure } = await runs.recover({ kind: 'latest' });
    expect(failure?.error).toBe('RecoveryAborted');
    expect(failure?.message).toContain('ObjectAltered');
    await runs.store.s3.send(new DeleteObjectCommand({ ...object, VersionId }));
  });

  it('with a missing middle segment, which is refused', async () => {
    const keys = await Array.fromAsync(list(runs.store, walTimelinePrefix(runs.lineage, 1)));
    const segment = /([0-9A-F]{24})\.zst$/.exec(keys.filter((key) => !key.includes('parts')).at(-2) as string)?.[1];
    await runs.store.s3.send(
      new DeleteObjectCommand({ Bucket: runs.store.bucket, Key: walSegmentKey(runs.lineage, segment as string) }),
    );
    const { failure } = await runs.recover({ kind: 'latest' });
    expect(failure).toMatchObject({ error: 'RecoveryTargetUnreachable' });
    expect(failure?.message).toContain('there is more behind the gap');
    const { answers } = await runs.recover({ kind: 'time', time: mark(1).before }, [count]);
    expect(answers).toEqual([{ rows: mark(1).rows, last: mark(1).rows }]);
  });
});
