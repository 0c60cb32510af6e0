import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs, promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import { S3Client } from '@aws-sdk/client-s3';
import { type ObjectStore, putOnce } from '../lib/aws/object-store.ts';
import { startPostgres } from '../lib/cli/rehearse/postgres-server.ts';
import { serverAccount } from '../lib/cli/rehearse/unprivileged.ts';
import { providePostgres } from '../lib/cli/setup/install-postgres.ts';
import * as keys from '../lib/core/keys.ts';
import { describeCluster, readBackupEnd } from '../lib/postgres/cluster.ts';
import { makeManifest } from '../tasks/base-backup-manifest.ts';
import { storeBaseBackup } from '../tasks/base-backup-store.ts';
import { median } from './compare/measure.ts';

/**
 * `node bench/wal-replay.ts [--seconds 60] [--rounds 3]`: recovery of the WAL that pgbench writes in that time, out of the
 * store as a task fetches it, beside `cp` from a local folder of plain segments. A ratio is of medians.
 */
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, rounds: { type: 'string', default: '3' } },
});
const account = serverAccount();
const directory = mkdtempSync(join(tmpdir(), 'bench-replay-'));
chmodSync(directory, 0o755);
const { bin } = providePostgres(() => {});
const lineage: keys.Lineage = { system: 'bench', database: 'orders', lineage: 'main' };
const settings = { wal_keep_size: '20GB', max_wal_size: '20GB', synchronous_commit: 'off' };
const server = await startPostgres({ bin, directory: join(directory, 'source'), settings });
const cloud = fork(join(import.meta.dirname, 'compare/cloud.ts'), [directory]);
try {
  const [message] = await once(cloud, 'message');
  const environment = (message as { environment: Record<string, string> }).environment;
  Object.assign(process.env, environment);
  const store: ObjectStore = { s3: new S3Client({ forcePathStyle: true }), bucket: 'bench' };
  const { host, port, superuser } = server;
  const pgbench = (...args: string[]) => {
    const env = { PATH: process.env.PATH, PGPASSWORD: superuser.password };
    const target = ['-h', host, '-p', String(port), '-U', superuser.user];
    const { status } = spawnSync(join(bin, 'pgbench'), [...args, ...target, 'postgres'], { env, stdio: 'ignore' });
    if (status !== 0) throw new Error(`pgbench ended with ${status}`);
  };
  // Small, so that most of the WAL are records and few are images of pages.
  pgbench('-i', '-s', '5', '-q');
  const client = await server.connect('postgres');
  const cluster = await describeCluster(client);
  const id = '20260101T000000Z-bench0';
  const prefix = keys.baseBackupPrefix(lineage, id);
  const connection = { host, port, username: superuser.user, password: superuser.password } as const;
  const work = {
    connection: { ...connection, dbname: 'postgres', sslmode: 'disable' },
    cluster,
    store,
    prefix,
    id,
  } as const;
  const stored = await storeBaseBackup({ ...work, signal: new AbortController().signal });
  const end = await readBackupEnd(client);
  const facts = { id, lineage, cluster, stored, end, began: Date.now(), parentId: null, fullBecause: null };
  await putOnce(
    store,
    keys.manifestKey(prefix),
    Buffer.from(JSON.stringify(makeManifest({ ...facts, lockUntil: null }))),
  );
  await putOnce(store, keys.verificationKey(prefix), Buffer.from('{}'));

  pgbench('-c', '8', '-j', '2', '-T', values.seconds, '-M', 'prepared', '-N');
  await client.query('SELECT pg_switch_wal()');
  const { rows } = await client.query('SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS current');
  await client.end();
  const source = join(directory, 'source', 'data', 'pg_wal');
  const segments = join(directory, 'segments');
  mkdirSync(segments);
  let bytes = 0;
  for (const name of readdirSync(source).sort()) {
    if (!/^[0-9A-F]{24}$/.test(name) || name >= rows[0].current) continue;
    const content = readFileSync(join(source, name));
    spawnSync('cp', [join(source, name), join(segments, name)]);
    chmodSync(join(segments, name), 0o644);
    await putOnce(store, keys.walSegmentKey(lineage, name), await promisify(zstdCompress)(content));
    bytes += content.length;
  }
  await server.stop();

  const recover = async (from: string | undefined): Promise<number> => {
    const home = mkdtempSync(join(directory, 'task-'));
    if (account) chownSync(home, account.uid, account.gid);
    const job = JSON.stringify({ home, lineage, segments: from });
    const child = spawn(process.execPath, [join(import.meta.dirname, 'wal-replay-task.ts'), job], {
      env: { ...environment, PATH: `${bin}:${process.env.PATH}`, TMPDIR: home },
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(account && { uid: account.uid, gid: account.gid }),
    });
    const output = await text(child.stdout);
    rmSync(home, { recursive: true, force: true });
    return JSON.parse(output.trim().split('\n').at(-1) ?? '').seconds;
  };
  const seconds = { store: [] as number[], cp: [] as number[] };
  const turns = [
    async () => seconds.store.push(await recover(undefined)),
    async () => seconds.cp.push(await recover(segments)),
  ];
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const turn of round % 2 ? turns.toReversed() : turns) await turn();
  }
  console.table({
    'WAL, MB': (bytes / 1e6).toFixed(0),
    'from the store, s': seconds.store.map((s) => s.toFixed(1)).join(' '),
    'cp from a local folder, s': seconds.cp.map((s) => s.toFixed(1)).join(' '),
    'store / cp': (median(seconds.store) / median(seconds.cp)).toFixed(2),
  });
} finally {
  cloud.disconnect();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
