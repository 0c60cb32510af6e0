import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { list } from '../../lib/aws/object-store.ts';
import { walPrefix } from '../../lib/core/keys.ts';
import { gapsOf } from '../../lib/core/wal-archive.ts';
import { type Ledger, lossOf, startWriters } from './ledger.ts';
import { makePostgres, ownFolder, type Postgres, run, servePostgres } from './postgres.ts';
import { type Receiver, startWalWorld, type WalWorld } from './wal-world.ts';

/** Chunk interval of the receivers here, seconds, and what an upload on a busy machine may take beside it. */
const chunkSeconds = 1;
const uploadSeconds = 5;

let world: WalWorld;
beforeEach(async () => {
  world = await startWalWorld();
  await world.server.query('CREATE TABLE ledger (id bigint PRIMARY KEY, filler text)');
});
afterEach(() => world.close());

/** A receiver that streams, a base backup without WAL, and writers. */
async function begin(changes: Parameters<WalWorld['startReceiver']>[0] = {}): Promise<[Receiver, Ledger]> {
  const receiver = world.startReceiver(changes);
  await receiver.said(/^streaming$/);
  world.baseBackup('base');
  return [receiver, await startWriters(() => world.server)];
}

/** The server and the receiver are lost at one moment; what comes back from the store is held against the ledger. */
async function loseAll(receiver: Receiver, ledger: Ledger) {
  await Promise.all([receiver.kill(), world.server.kill()]);
  const at = performance.now();
  await ledger.stop();
  const recovered = await world.recover('base');
  const loss = await lossOf(ledger, recovered, at);
  const { size } = ledger.acknowledged;
  console.log(`${expect.getState().currentTestName}: ${size} commits, ${loss.lost.length} lost, ${loss.seconds} s`);
  expect(size).toBeGreaterThan(100);
  return { loss, recovered };
}

describe('asynchronously, a loss of everything costs no more than a chunk and its upload', () => {
  it('after kill -9 of the receiver at random moments, each followed by one that knows the store alone', async () => {
    let [receiver, ledger] = await begin();
    for (let i = 0; i < 4; i++) {
      await sleep(500 + Math.random() * 1_500);
      await receiver.kill();
      receiver = world.startReceiver();
      await receiver.said(/^streaming$/);
    }
    await sleep(2_000);
    const { loss } = await loseAll(receiver, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
    expect(gapsOf(await world.archive(), 1)).toEqual([]);
  });

  it('while the store refuses every fifth write, and then all of them for 20 s', async () => {
    const [receiver, ledger] = await begin();
    world.faults.refusing = 0.2;
    await sleep(6_000);
    world.faults.refusing = 1;
    await sleep(20_000);
    world.faults.refusing = 0;
    // It has to catch up: the server kept what was not acknowledged.
    const [{ lsn }] = (await world.server.query('SELECT pg_current_wal_lsn() AS lsn')) as [{ lsn: string }];
    await world.durable(lsn);
    expect(world.faults.refused).toBeGreaterThan(5);
    const { loss } = await loseAll(receiver, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });

  it('with a store that takes a second for every write', async () => {
    const [receiver, ledger] = await begin();
    world.faults.slow = 1_000;
    await sleep(6_000);
    const { loss } = await loseAll(receiver, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds + 1);
  });

  it('with a server that died and came back', async () => {
    const [receiver, ledger] = await begin();
    await sleep(1_500);
    await world.server.kill();
    await world.server.start();
    await sleep(8_000);
    const { loss } = await loseAll(receiver, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });
});

describe('synchronously', () => {
  it('no acknowledged commit is lost in 20 kills of everything', async () => {
    await world.server.query("ALTER SYSTEM SET synchronous_standby_names = 'pgdr_orders'");
    await world.server.query('SELECT pg_reload_conf()');
    let [receiver, ledger] = await begin({ synchronous: true });
    for (let i = 0; i < 19; i++) {
      await sleep(300 + Math.random() * 700);
      await Promise.all([receiver.kill(), world.server.kill()]);
      await world.server.start();
      receiver = world.startReceiver({ synchronous: true });
      await receiver.said(/^streaming$/);
    }
    await sleep(1_000);
    const { loss } = await loseAll(receiver, ledger);
    expect(loss.lost).toEqual([]);
  });
});

describe('two receivers', () => {
  it('never ship at once, and the second goes on when the first falls silent, however long it was frozen', async () => {
    const [first, ledger] = await begin();
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
    const { loss } = await loseAll(second, ledger);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
  });
});

describe('timelines', () => {
  it('follows a standby that took over, and keeps what the old primary wrote beside it', async () => {
    const [receiver, ledger] = await begin();
    const standby = await makeStandby();
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
    const [{ lsn }] = (await standby.query('SELECT pg_current_wal_lsn() AS lsn')) as [{ lsn: string }];
    await world.durable(lsn, { timeline: 2 });
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

  async function makeStandby(): Promise<Postgres> {
    const folder = ownFolder(`${world.folder}/standby`);
    const connection = ['-h', '127.0.0.1', '-p', String(world.server.port), '-U', 'postgres'];
    run(
      'pg_basebackup',
      [...connection, '-D', `${folder}/data`, '-X', 'stream', '-c', 'fast', '-R', '--no-sync'],
      folder,
    );
    const standby = await servePostgres(folder, {});
    await standby.start();
    return standby;
  }
});

describe('a gap', () => {
  it('is recorded once, told, and passed over when the server gave up the slot', async () => {
    await world.server.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await world.server.query("ALTER SYSTEM SET max_wal_size = '48MB'");
    await world.server.query("ALTER SYSTEM SET min_wal_size = '32MB'");
    await world.server.query('SELECT pg_reload_conf()');
    const [receiver, ledger] = await begin();
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
    await next.said(/base backup after a gap was not started/, 90);
    const [{ lsn }] = (await world.server.query('SELECT pg_current_wal_lsn() AS lsn')) as [{ lsn: string }];
    await world.durable(lsn, { gaps: 1 });
    expect(next.lines.filter((line) => line.WalGaps === 1)).toHaveLength(1);
    expect(gapsOf(await world.archive(), 1)).toHaveLength(1);
    const gaps: string[] = [];
    for await (const key of list(world.store, `${walPrefix(world.of)}gaps/`)) gaps.push(key);
    expect(gaps).toHaveLength(1);
  });
});

describe('a server that is not the one', () => {
  it('is refused: another system, and one that lost WAL which is stored', async () => {
    const [receiver, ledger] = await begin();
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
});
