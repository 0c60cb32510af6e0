import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { auditWal } from '../../lambdas/audit-wal.ts';
import { list } from '../../lib/aws/object-store.ts';
import { newestCommitAt } from '../../lib/aws/recoverable-window.ts';
import { walPrefix, walTimelinePrefix } from '../../lib/core/keys.ts';
import { contiguousEnd, gapsOf, latestTimeline, type WalArchive } from '../../lib/core/wal-archive.ts';
import type { Stretch } from '../../lib/core/window.ts';
import { type Ledger, lossOf, startWriters } from './ledger.ts';
import { makePostgres, ownFolder, type Postgres, run, servePostgres } from './postgres.ts';
import { type Receiver, startWalWorld, type WalWorld } from './wal-world.ts';

/**
 * Faults of the receiver, its store and its server. Writers note each commit that they were told of, and this ledger
 * decides what was lost. Each has a server, a store and receivers of its own, so that they can wait at the same time.
 */

/** Chunk interval of the receivers here, seconds, and what an upload on a busy machine may take beside it. */
const chunkSeconds = 1;
const uploadSeconds = 5;

function scenario(name: string, body: (world: WalWorld) => Promise<void>): void {
  it.concurrent(name, async () => {
    const world = await startWalWorld();
    try {
      await world.server.query('CREATE TABLE ledger (id bigint PRIMARY KEY, filler text)');
      await body(world);
    } finally {
      await world.close();
    }
  });
}

type Changes = Parameters<WalWorld['startReceiver']>[0];

/** A receiver that streams, a base backup without WAL, and writers. */
async function begin(world: WalWorld, changes: Changes = {}): Promise<[Receiver, Ledger]> {
  const receiver = world.startReceiver(changes);
  await receiver.said(/^streaming$/);
  world.baseBackup('base');
  return [receiver, await startWriters(() => world.server)];
}

/**
 * The server and the receiver are lost at one moment; what comes back from the store is held against the ledger, and so is
 * whatever was reported: the age of the newest stored commit, and the lag that each receiver published.
 */
async function loseAll(what: string, world: WalWorld, receivers: readonly Receiver[], ledger: Ledger) {
  const receiver = receivers.at(-1) as Receiver;
  await Promise.all([receiver.kill(), world.server.kill()]);
  const at = performance.now();
  await ledger.stop();
  const recovered = await world.recover('base');
  const loss = await lossOf(ledger, recovered, at);
  const { size } = ledger.acknowledged;
  expect(size).toBeGreaterThan(100);
  const wall = (monotonic: number) => performance.timeOrigin + monotonic;
  const acknowledgedAt = (id: number) => wall(ledger.acknowledged.get(id) as number);

  const newest = (await newestStored(world)) / 1000;
  const reported = (wall(at) - newest) / 1000;
  expect(reported, 'the reported loss contains the true one').toBeGreaterThanOrEqual(loss.seconds);
  expect(loss.lost.filter((id) => acknowledgedAt(id) < newest)).toEqual([]);
  for (const { lines, clockSkew } of receivers)
    for (const { WalLagSeconds: lag, _aws: stamp } of lines) {
      if (lag === undefined) continue;
      const kept = (stamp as { Timestamp: number }).Timestamp - clockSkew - Number(lag) * 1000;
      expect(loss.lost.filter((id) => acknowledgedAt(id) < kept)).toEqual([]);
    }
  console.log(
    `${what}: ${size} commits, ${loss.lost.length} lost of ${loss.seconds.toFixed(2)} s, ${reported.toFixed(2)} s reported`,
  );
  return { loss, recovered };
}

/** What the window says: the time of the newest stored commit, microseconds since 1970. */
async function newestStored(world: WalWorld): Promise<number> {
  const archive: WalArchive = await world.archive();
  const timeline = latestTimeline(archive) as number;
  const first = archive.objects.get(timeline)?.[0]?.start as bigint;
  const edge = { lsn: contiguousEnd(archive, timeline, first), because: { kind: 'stored' } } as const;
  const stretch = { timeline, from: { lsn: first }, to: edge, backups: [] } as unknown as Stretch;
  return (await newestCommitAt(world.store, archive, stretch)) as number;
}

const lsnOf = async (server: Postgres): Promise<string> =>
  (await server.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn'))[0]?.lsn as string;

describe.concurrent('asynchronously, a loss of everything costs no more than a chunk and its upload', () => {
  // First, since it takes longest.
  scenario('while the store refuses every fifth write, and then all of them for 2 minutes', async (world) => {
    const [receiver, ledger] = await begin(world);
    world.faults.refusing = 0.2;
    await sleep(6_000);
    world.faults.refusing = 1;
    await sleep(120_000);
    world.faults.refusing = 0;
    // It has to catch up: the server kept what was not acknowledged.
    await world.durable(await lsnOf(world.server));
    expect(world.faults.refused).toBeGreaterThan(5);
    const { loss } = await loseAll('store out', world, [receiver], ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });

  scenario('in the middle of an outage of the store, nothing is reported as kept that is not', async (world) => {
    const [receiver, ledger] = await begin(world);
    await sleep(3_000);
    world.faults.refusing = 1;
    await sleep(20_000);
    const { loss } = await loseAll('lost while the store was out', world, [receiver], ledger);
    expect(loss.seconds).toBeGreaterThan(15);
    expect(loss.seconds).toBeLessThanOrEqual(20 + chunkSeconds + uploadSeconds);
    const lags = receiver.lines.flatMap(({ WalLagSeconds: lag }) => (lag === undefined ? [] : [Number(lag)]));
    expect(Math.max(...lags)).toBeGreaterThan(5);
  });

  scenario('after kill -9 of the receiver at random moments, its disk wiped each time', async (world) => {
    const [first, ledger] = await begin(world);
    const receivers = [first];
    for (let i = 0; i < 5; i++) {
      await sleep(300 + Math.random() * 1_500);
      const receiver = receivers.at(-1) as Receiver;
      await receiver.kill();
      rmSync(receiver.disk, { recursive: true, force: true });
      receivers.push(world.startReceiver());
      await receivers.at(-1)?.said(/^streaming$/);
    }
    await sleep(2_000);
    const { loss } = await loseAll('kill -9 of the receiver', world, receivers, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
    expect(gapsOf(await world.archive(), 1)).toEqual([]);
  });

  scenario('with a store that takes a second for every write', async (world) => {
    const [receiver, ledger] = await begin(world);
    world.faults.slow = 1_000;
    await sleep(6_000);
    const { loss } = await loseAll('slow store', world, [receiver], ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds + 1);
  });

  scenario('with a server that died and came back', async (world) => {
    const [receiver, ledger] = await begin(world);
    await sleep(1_500);
    await world.server.kill();
    await world.server.start();
    await sleep(8_000);
    const { loss } = await loseAll('kill -9 of the server', world, [receiver], ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });

  scenario('with receivers whose clocks are an hour ahead and an hour behind', async (world) => {
    const hour = 3_600_000;
    const ahead = world.startReceiver({}, { clockSkew: hour });
    await ahead.said(/^streaming$/);
    world.baseBackup('base');
    const ledger = await startWriters(() => world.server);
    // The lease of the one is no older for the clock of the other.
    const behind = world.startReceiver({}, { clockSkew: -hour });
    await behind.said(/another receiver holds the lease/);
    await ahead.said(/^stream$/);
    expect(behind.lines.some(({ message }) => message === 'streaming')).toBe(false);
    await ahead.kill();
    await behind.said(/^streaming$/);
    await behind.said(/^stream$/);
    const { loss } = await loseAll('clock skew', world, [ahead, behind], ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
    const lags = [ahead, behind].flatMap(({ lines }) => lines.flatMap(({ WalLagSeconds: lag }) => lag ?? []));
    expect(lags.length).toBeGreaterThan(1);
    expect(Math.max(...(lags as number[]))).toBeLessThan(60);
  });

  scenario('with two receivers, of which one at a time ships, however long the other was frozen', async (world) => {
    const [first, ledger] = await begin(world);
    const second = world.startReceiver();
    await second.said(/another receiver holds the lease/);
    await sleep(2_000);
    expect(second.lines.some(({ message }) => message === 'streaming')).toBe(false);
    // Frozen, as a machine without a clock: it does not know how long it slept.
    first.signal('SIGSTOP');
    await second.said(/^lease taken$/);
    first.signal('SIGCONT');
    await first.said(/stopped at once/);
    await second.said(/^streaming$/);
    await sleep(2_000);
    const { loss } = await loseAll('two receivers', world, [second], ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });
});

describe.concurrent('synchronously', () => {
  scenario('no acknowledged commit is lost in 20 kills of everything', async (world) => {
    await world.server.query("ALTER SYSTEM SET synchronous_standby_names = 'pgdr_orders'");
    await world.server.query('SELECT pg_reload_conf()');
    const [first, ledger] = await begin(world, { synchronous: true });
    const receivers = [first];
    for (let i = 0; i < 19; i++) {
      await sleep(300 + Math.random() * 700);
      await Promise.all([receivers.at(-1)?.kill(), world.server.kill()]);
      await world.server.start();
      receivers.push(world.startReceiver({ synchronous: true }));
      await receivers.at(-1)?.said(/^streaming$/);
    }
    await sleep(1_000);
    const { loss } = await loseAll('20 kills', world, receivers, ledger);
    expect(loss.lost).toEqual([]);
  });
});

describe.concurrent('timelines', () => {
  scenario('follows a standby that took over, and keeps what the old primary wrote beside it', async (world) => {
    const [receiver, ledger] = await begin(world);
    const standby = await makeStandby(world);
    await sleep(1_500);
    // The standby is cut off; what is written from now on is on the old primary alone.
    await standby.query("ALTER SYSTEM SET primary_conninfo = ''");
    await standby.query('SELECT pg_reload_conf()');
    await sleep(2_500);
    await world.server.kill();
    await ledger.stop();
    await standby.query('SELECT pg_promote(true)');
    await world.moveTo(standby);
    await receiver.kill();
    const next = world.startReceiver();
    await next.said(/^streaming$/);
    await standby.query('CREATE TABLE after_failover AS SELECT 1 AS n');
    await world.durable(await lsnOf(standby), { timeline: 2 });
    const archive = await world.archive();
    expect([...archive.objects.keys()].sort()).toEqual([1, 2]);
    expect([...archive.histories.keys()]).toEqual([2]);

    const onNew = await world.recover('base', 'latest');
    expect(await onNew.query('SELECT n FROM after_failover')).toEqual([{ n: 1 }]);
    // The old timeline, with what only the old primary had, can be had as well.
    const onOld = await world.recover('base', '1');
    const rows = async (server: Postgres) => Number((await server.query('SELECT count(*) FROM ledger'))[0]?.count);
    expect(await rows(onOld)).toBeGreaterThan(await rows(onNew));
    expect(await rows(onOld)).toBeGreaterThan(ledger.acknowledged.size - 2_000);
  });
});

async function makeStandby({ folder: home, server }: WalWorld): Promise<Postgres> {
  const folder = ownFolder(`${home}/standby`);
  const connection = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres'];
  run(
    'pg_basebackup',
    [...connection, '-D', `${folder}/data`, '-X', 'stream', '-c', 'fast', '-R', '--no-sync'],
    folder,
  );
  const standby = await servePostgres(folder, {});
  await standby.start();
  return standby;
}

describe.concurrent('a gap', () => {
  scenario('is recorded once, told, and passed over when the server gave up the slot', async (world) => {
    await world.server.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await world.server.query("ALTER SYSTEM SET max_wal_size = '48MB'");
    await world.server.query("ALTER SYSTEM SET min_wal_size = '32MB'");
    await world.server.query('SELECT pg_reload_conf()');
    const [receiver, ledger] = await begin(world);
    await sleep(1_500);
    await receiver.kill();
    await ledger.stop();
    for (let i = 0; i < 8; i++) {
      await world.server.query(
        "SELECT count(pg_logical_emit_message(false, 'x', repeat('y', 1000000))) FROM generate_series(1, 16)",
      );
      await world.server.query('SELECT pg_switch_wal()');
      await world.server.query('CHECKPOINT');
    }
    const next = world.startReceiver();
    await next.said(/^GAP:/);
    // There is no state machine here; test/local/pitr.test.ts has one.
    await next.said(/base backup after a gap was not started/);
    await world.durable(await lsnOf(world.server), { gaps: 1 });
    expect(next.lines.filter((line) => line.WalGaps === 1)).toHaveLength(1);
    expect(gapsOf(await world.archive(), 1)).toHaveLength(1);
    const gaps: string[] = [];
    for await (const key of list(world.store, `${walPrefix(world.of)}gaps/`)) gaps.push(key);
    expect(gaps).toHaveLength(1);
  });

  scenario('that somebody made by removing a segment from the store is found by the next audit', async (world) => {
    const [receiver, ledger] = await begin(world);
    for (let i = 0; i < 3; i++) {
      await world.server.query(
        "SELECT count(pg_logical_emit_message(true, 'x', repeat('y', 1000000))) FROM generate_series(1, 4)",
      );
      await world.server.query('SELECT pg_switch_wal()');
      await sleep(500);
    }
    await world.durable(await lsnOf(world.server));
    await ledger.stop();
    const audit = async () => (await auditWal(world.store, world.of, new Date())).findings;
    expect(await audit()).toEqual([]);
    const keys = await Array.fromAsync(list(world.store, walTimelinePrefix(world.of, 1)));
    const [, second] = [...new Set(keys.map((key) => /([0-9A-F]{24})/.exec(key)?.[1] as string))].sort();
    for (const Key of keys.filter((key) => key.includes(second as string)))
      await world.store.s3.send(new DeleteObjectCommand({ Bucket: world.store.bucket, Key }));
    expect(await audit()).toEqual([{ kind: 'missing', what: expect.stringContaining('timeline 1 from') }]);
    await receiver.kill();
  });
});

describe.concurrent('a server that is not the one', () => {
  scenario('is refused: another system, and one that lost WAL which is stored', async (world) => {
    const [receiver, ledger] = await begin(world);
    await sleep(1_500);
    await ledger.stop();
    await receiver.kill();
    const other = await makePostgres(`${world.folder}/other`);
    await other.start();
    await world.moveTo(other);
    const stranger = world.startReceiver();
    const line = await stranger.said(/taken up again/);
    expect(line).toMatchObject({ error: 'WalOtherServer' });
    await other.stop();
  });

  scenario('is named when it is RDS, which takes no replication connections', async (world) => {
    await world.server.query('CREATE ROLE rds_superuser');
    writeFileSync(join(world.server.data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
    await world.server.query('SELECT pg_reload_conf()');
    const refused = await world.startReceiver().said(/taken up again/);
    expect(refused).toMatchObject({ error: 'ServerManaged', reason: expect.stringContaining('Amazon RDS') });
  });
});
