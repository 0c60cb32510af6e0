import '../../tasks/whole-collections.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { readSecret } from '../../lib/aws/secret.ts';
import { type DatabaseSettings, parseSettings } from '../../lib/core/settings.ts';
import { parseConnection } from '../../lib/postgres/connection.ts';
import { startEphemeralServer } from '../../lib/postgres/ephemeral.ts';
import { exportSnapshot } from '../../lib/postgres/snapshot.ts';
import { outputOf, startTool, toolEnvironment } from '../../lib/postgres/tools.ts';
import { openBackupStore } from '../../tasks/backup-store.ts';
import { chooseBackup } from '../../tasks/choose-backup.ts';
import { planStreams } from '../../tasks/dump-plan.ts';
import { type DumpStream, storeDump } from '../../tasks/dump-stream.ts';
import { restore, withClient } from '../../tasks/restore.ts';
import { describeSource } from '../../tasks/source.ts';
import { cpuOfEnded, cpuOfTree, processTree } from './measure.ts';

/**
 * Parts of pgdr's jobs, so that they can be told apart:
 *
 *     dump store       the streams of a backup into the store, without the fingerprint
 *     dump compressed  the same streams, compressed, into nothing
 *     dump nothing     the same streams into nothing
 *     restore <backup id>     a backup into an ephemeral server
 *     pg_restore <archive>    stock pg_restore from local disk, into the same kind of server
 *
 * The settings are in PGDR_BENCH_SETTINGS. The last line of stdout tells what a restore took, once its server ran.
 */
const [mode = '', argument = ''] = process.argv.slice(2);
const settings: DatabaseSettings = parseSettings(JSON.parse(process.env.PGDR_BENCH_SETTINGS ?? ''));
const directory = await mkdtemp(join(tmpdir(), 'pgdr-bench-'));
const { signal } = new AbortController();
try {
  if (mode === 'dump') await dump(argument);
  else if (mode === 'restore') await measured(fromStore);
  else if (mode === 'pg_restore') await measured(fromDisk);
  else throw new Error(`no such part: ${mode}`);
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function dump(into: string): Promise<void> {
  const connection = parseConnection(await readSecret(settings.secret), settings.secret);
  const tools = await toolEnvironment(connection, directory);
  const snapshot = await exportSnapshot(connection);
  const source = await describeSource(connection, snapshot);
  const store = await openBackupStore(settings);
  const plan = planStreams(source, settings.logical, snapshot.id, `bench/${process.pid}/`);
  const { zstdLevel, concurrency } = settings.logical;
  const ways: Record<string, (stream: DumpStream) => Promise<unknown>> = {
    store: (stream) => storeDump(stream, store, tools, { zstdLevel, signal, onRawBytes: ignore, onWarning: ignore }),
    compressed: async ({ program, args }) => {
      const tool = startTool(program, args, tools, 'DumpFailed');
      const params = { [constants.ZSTD_c_compressionLevel]: zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 };
      await pipeline(outputOf(tool), createZstdCompress({ params }), async (bytes: AsyncIterable<Buffer>) => {
        for await (const _ of bytes);
      });
    },
    nothing: async ({ program, args }) => {
      const [code] = await once(spawn(program, args, { env: tools.env, stdio: 'ignore' }), 'exit');
      if (code !== 0) throw new Error(`${program} exited with ${code}`);
    },
  };
  const way = ways[into];
  if (!way) throw new Error(`no such way: ${into}`);
  const waiting = [...plan.own, ...plan.shared];
  const work = async () => {
    for (let stream = waiting.shift(); stream; stream = waiting.shift()) await way(stream);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  await snapshot.release();
}

type Server = Awaited<ReturnType<typeof startEphemeralServer>>;

async function measured(work: (server: Server) => Promise<void>): Promise<void> {
  const server = await startEphemeralServer(directory, signal);
  try {
    const postmaster = processTree(process.pid).find(
      ({ name, parent }) => name === 'postgres' && parent === process.pid,
    );
    if (!postmaster) throw new Error('the ephemeral server was not found');
    const now = () => ({
      at: performance.now() / 1000,
      server: cpuOfTree(postmaster.pid),
      client: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6 + cpuOfEnded(),
    });
    const before = now();
    await work(server);
    const after = now();
    const measuredRestore = {
      seconds: after.at - before.at,
      serverCpu: after.server - before.server,
      clientCpu: after.client - before.client,
    };
    process.stdout.write(`${JSON.stringify({ measuredRestore })}\n`);
  } finally {
    await server.stop();
  }
}

async function fromStore(server: Server): Promise<void> {
  const store = await openBackupStore(settings);
  const { manifest } = await chooseBackup(store, settings, argument);
  await restore(manifest, store, server, { directory, concurrency: settings.logical.concurrency, signal });
}

async function fromDisk(server: Server): Promise<void> {
  await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE shop'));
  const tool = startTool(
    'pg_restore',
    ['--jobs=2', '--no-owner', '--dbname=shop', argument],
    server.tools,
    'RestoreFailed',
  );
  tool.process.stdin?.end();
  (tool.process.stdout as Readable).resume();
  await tool.ended;
}

function ignore(): void {}
