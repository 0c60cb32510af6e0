import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { formatLsn, parseLsn } from '../../lib/core/lsn.ts';
import { parseSegmentName } from '../../lib/core/wal.ts';
import { createWalScanner, microsecondsToText, textToMicroseconds } from '../../lib/core/wal-records.ts';

/** The scanner against pg_waldump, on the WAL of a real server. */

const segmentBytes = 16 * 2 ** 20;

interface Seen {
  readonly what: string;
  readonly at: number;
}

describe('the scanner of WAL', () => {
  let directory: string;
  let server: PostgresServer;
  let wal: Buffer;
  let from: bigint;
  let judged: Seen[];

  beforeAll(async () => {
    directory = mkdtempSync('/tmp/pgdr-wal-records-');
    chmodSync(directory, 0o711); // The server runs as another user when this process is root.
    const { bin } = providePostgres(() => {});
    server = await startPostgres({
      bin,
      directory: join(directory, 'server'),
      settings: { wal_level: 'logical', wal_keep_size: '1GB' },
    });
    const client = await server.connect('postgres');
    await client.query('CREATE TABLE t (n bigint, filler text)');
    const [{ lsn }] = (await client.query('SELECT pg_current_wal_lsn() AS lsn')).rows;
    from = parseLsn(lsn) - (parseLsn(lsn) % BigInt(segmentBytes));
    for (let i = 0; i < 400; i++) {
      // Records of all lengths, so that they are cut by pages everywhere, and some longer than a page.
      await client.query("INSERT INTO t SELECT $1, repeat('x', ($1 * 37) % 1900) FROM generate_series(1, 1 + $1 % 3)", [
        i,
      ]);
      if (i % 50 === 0) await client.query("BEGIN; INSERT INTO t VALUES (1, ''); ROLLBACK");
      if (i % 90 === 0) await client.query(`SELECT pg_create_restore_point('point ${i}')`);
      if (i % 100 === 99) await client.query('SELECT pg_switch_wal()');
      if (i % 120 === 0) await client.query('CHECKPOINT');
    }
    await client.query(`SELECT pg_logical_emit_message(false, 'pgdr', repeat('m', 100000))`);
    await client.query("INSERT INTO t VALUES (0, 'last')");
    const [{ end }] = (await client.query('SELECT pg_current_wal_lsn() AS end')).rows;
    await client.end();
    const folder = join(directory, 'server/data/pg_wal');
    const names = readdirSync(folder)
      .filter((name) => {
        const segment = parseSegmentName(name, segmentBytes);
        return segment && segment.start >= from && segment.start < parseLsn(end);
      })
      .sort();
    wal = Buffer.concat(names.map((name) => readFileSync(join(folder, name)))).subarray(
      0,
      Number(parseLsn(end) - from),
    );
    judged = judge(join(bin, 'pg_waldump'), folder, end);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** What pg_waldump sees of commits and restore points, with the LSN of the next record. */
  function judge(waldump: string, folder: string, end: string): Seen[] {
    const { stdout } = spawnSync(waldump, ['--path', folder, '--start', formatLsn(from), '--end', end], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: { TZ: 'UTC' },
    });
    return stdout.split('\n').flatMap((line): Seen[] => {
      const time = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) UTC/.exec(line);
      const at = time ? textToMicroseconds(`${time[1]}T${time[2]}Z`) : 0;
      if (/rmgr: Transaction .*desc: COMMIT/.test(line)) return [{ what: 'commit', at }];
      const point = /desc: RESTORE_POINT (.*?)(?:;|$)/.exec(line)?.[1];
      return point ? [{ what: point.trim(), at: 0 }] : [];
    });
  }

  function scan(cuts: (at: number) => number, start = 0): (Seen & { end: bigint })[] {
    const seen: (Seen & { end: bigint })[] = [];
    const scanner = createWalScanner({
      onCommit: (at, end) => seen.push({ what: 'commit', at, end }),
      onRestorePoint: (name, _, end) => seen.push({ what: name, at: 0, end }),
    });
    for (let at = start; at < wal.length; ) {
      const next = Math.min(wal.length, at + Math.max(1, cuts(at)));
      scanner.push(wal.subarray(at, next), from + BigInt(at));
      at = next;
    }
    return seen;
  }
  const plain = (seen: readonly Seen[]) => seen.map(({ what, at }) => ({ what, at }));

  it.each([
    ['whole', () => Number.MAX_SAFE_INTEGER],
    ['in pages', () => 8192],
    ['in pieces of seven bytes', () => 7],
    ['in uneven pieces', (at: number) => 1 + ((at * 7919) % 20_000)],
  ])('sees every commit and restore point that pg_waldump sees, given %s', (_, cuts) => {
    expect(judged.filter(({ what }) => what === 'commit').length).toBeGreaterThan(400);
    expect(judged.filter(({ what }) => what !== 'commit').length).toBe(5);
    expect(plain(scan(cuts))).toEqual(judged);
  });

  it('finds its place from wherever it starts, and then misses nothing', () => {
    const all = scan(() => 8192);
    for (const start of [1, 100, 8191, 8192, 8200, 30_000, 1_000_003, 16 * 2 ** 20 + 5]) {
      const seen = scan(() => 10_000, start);
      expect(plain(seen)).toEqual(plain(all).slice(all.length - seen.length));
      // From the second page on at the latest, unless a long record covers it.
      const missed = all.filter(({ end }) => end > from + BigInt(start + 130_000)).length;
      expect(seen.length).toBeGreaterThanOrEqual(missed);
    }
  });

  it('tells of a commit only once its last byte is there', () => {
    const [first] = scan(() => 8192).filter(({ what }) => what === 'commit');
    const end = Number((first?.end as bigint) - from);
    const seen: bigint[] = [];
    const scanner = createWalScanner({ onCommit: (_, lsn) => seen.push(lsn) });
    // Alignment may put up to seven bytes of padding after the record.
    scanner.push(wal.subarray(0, end - 8), from);
    expect(seen).toEqual([]);
    scanner.push(wal.subarray(end - 8, end), from + BigInt(end - 8));
    expect(seen.map(formatLsn)).toEqual([formatLsn(first?.end as bigint)]);
  });
});

it('times keep their microseconds', () => {
  expect(microsecondsToText(1_700_000_000_000_001)).toBe('2023-11-14T22:13:20.000001Z');
  expect(textToMicroseconds('2023-11-14T22:13:20.5Z')).toBe(1_700_000_000_500_000);
});
