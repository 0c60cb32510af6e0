import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../lib/cli/setup/install-postgres.ts';
import { runBaseBackup } from '../lib/postgres/base-backup.ts';
import { connectForBackup } from '../lib/postgres/base-backup-query.ts';

/**
 * `node bench/base-backup.ts [MB]`: a base backup as the task streams and hashes it, beside pg_basebackup, both with the
 * server's own zstd, into nothing: what is left is what the client costs. They take turns; a ratio is of medians.
 */
const megabytes = Number(process.argv[2] ?? 1000);
const rounds = 5;
const directory = mkdtempSync(join(tmpdir(), 'bench-base-'));
// The server runs as an account of its own.
chmodSync(directory, 0o755);
const { bin, major } = providePostgres(() => {});
const server = await startPostgres({ bin, directory: join(directory, 'source'), settings: { max_wal_size: '8GB' } });

interface Sample {
  readonly seconds: number;
  readonly clientCpuSeconds: number;
}
const samples = { pgdr: [] as Sample[], pg_basebackup: [] as Sample[] };

async function measured(work: () => Promise<unknown>, cpu: () => number): Promise<Sample> {
  const [began, before] = [performance.now(), cpu()];
  await work();
  return { seconds: (performance.now() - began) / 1000, clientCpuSeconds: cpu() - before };
}

const own = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function ours(): Promise<void> {
  const { user: username, password } = server.superuser;
  const { host, port } = server;
  const connection = { host, port, username, password, dbname: 'postgres', sslmode: 'disable' } as const;
  const client = await connectForBackup(connection, 'bench');
  await runBaseBackup(
    client,
    { label: 'bench', major, serverZstdLevel: major >= 15 ? 1 : null },
    async ({ content }) => {
      const hash = createHash('sha256');
      for await (const chunk of content) hash.update(chunk);
      hash.digest();
    },
  );
  await client.end();
}

/** CPU seconds are those that `time` reports of the program. */
let stockCpu = 0;
async function stock(): Promise<void> {
  const compress = major >= 15 ? '--compress=server-zstd:1' : '--compress=0';
  const command = `TIMEFORMAT='%U %S'; time pg_basebackup --format=tar --wal-method=none --no-manifest --checkpoint=fast ${compress} --pgdata=- >/dev/null`;
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGUSER: server.superuser.user,
    PGPASSWORD: server.superuser.password,
  };
  const child = spawn('bash', ['-c', command], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`pg_basebackup exited with ${code}: ${said}`);
  stockCpu += (said.trim().split('\n').at(-1) ?? '0 0').split(' ').reduce((sum, part) => sum + Number(part), 0);
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

try {
  const client = await server.connect('postgres');
  await client.query('CREATE TABLE filler (id bigint, text text)');
  // About 100 bytes a row, half of them random.
  await client.query(
    "INSERT INTO filler SELECT g, md5(g::text) || repeat('pgdr', 8) FROM generate_series(1, $1::bigint) g",
    [megabytes * 10_000],
  );
  await client.query('CHECKPOINT');
  await client.end();
  for (let round = 0; round < rounds; round++) {
    const turns = [
      async () => samples.pgdr.push(await measured(ours, own)),
      async () => samples.pg_basebackup.push(await measured(stock, () => stockCpu)),
    ];
    for (const turn of round % 2 ? turns : turns.reverse()) await turn();
  }
  const row = (of: readonly Sample[]) => ({
    seconds: median(of.map(({ seconds }) => seconds)),
    clientCpuSeconds: median(of.map(({ clientCpuSeconds }) => clientCpuSeconds)),
  });
  const [pgdr, pgBasebackup] = [row(samples.pgdr), row(samples.pg_basebackup)];
  console.log(JSON.stringify({ major, megabytes, pgdr, pgBasebackup, ratio: pgdr.seconds / pgBasebackup.seconds }));
  for (const judge of ['pgbackrest', 'barman-cloud-backup']) {
    const found = spawnSync('which', [judge]).status === 0;
    if (!found) console.log(`${judge} is not installed here; nothing was measured beside it`);
  }
} finally {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
