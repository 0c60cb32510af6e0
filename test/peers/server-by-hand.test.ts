import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { type PhysicalRuns, startPhysicalRuns } from '../local/physical-runs.ts';
import { describeWithPeers } from './peers.ts';

/** docs/runbooks/server-by-hand.md, done as it says: with stock programs alone, from segments and from parts of one. */
describeWithPeers('the runbook of a whole server by hand', ['aws', 'zstd'], (aws, zstd) => {
  const { bin } = providePostgres(() => {});
  const account = serverAccount();
  const port = 50_000 + (process.pid % 10_000);
  let runs: PhysicalRuns;
  let backup: PhysicalManifest;
  let folder: string;
  const blocks = [...readFileSync('docs/runbooks/server-by-hand.md', 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(
    ([, script]) => script as string,
  );

  beforeAll(async () => {
    runs = await startPhysicalRuns({ bin });
    folder = join(runs.directory, 'by-hand');
    mkdirSync(folder, { mode: 0o755 });
    await runs.client.query('CREATE DATABASE shop');
    await runs.client.query("CREATE ROLE clerk LOGIN PASSWORD 'kept'");
    await runs.client.query('CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY, text text)');
    backup = await runs.backup();
    await runs.client.query("INSERT INTO ledger (text) SELECT repeat('a', 500) FROM generate_series(1, 40000)");
    await runs.ship();
    await runs.client.query("INSERT INTO ledger (text) VALUES ('in a part')");
    await runs.shipPart();
  });
  afterAll(async () => {
    const data = join(folder, 'data');
    if (account)
      execFileSync(join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', 'stop'], { ...account, cwd: folder });
    await runs?.close();
  });

  const sh = (script: string, as?: { uid: number; gid: number }) =>
    // Not synchronously: the store that answers lives in this process.
    promisify(execFile)('bash', ['-c', script], {
      cwd: folder,
      timeout: 200_000,
      env: {
        PATH: [bin, dirname(aws), dirname(zstd), dirname(process.execPath), '/usr/bin:/bin'].join(':'),
        HOME: folder,
        BUCKET: 'backups',
        BACKUP_ID: backup.id,
        AWS_ENDPOINT_URL: runs.s3.endpoint,
        AWS_REGION: 'eu-central-1',
        AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
        AWS_SECRET_ACCESS_KEY: 'secret',
      },
      ...as,
    });

  it('brings back every database and role, and the last row that was stored', async () => {
    await sh((blocks[0] as string).replace('acme/', 'test/'));
    if (account) execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, folder]);
    const settings = `port = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n`;
    const own = `printf '%s' "${settings}" >> data/postgresql.conf\n${blocks[1]}`;
    await sh(own, account && { uid: account.uid, gid: account.gid });

    const { user, password } = runs.server.superuser;
    const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: 'postgres' });
    await client.connect();
    const { rows } = await client.query(`
      SELECT (SELECT count(*)::int FROM ledger) AS rows, (SELECT count(*)::int FROM ledger WHERE text = 'in a part') AS last,
             pg_is_in_recovery() AS recovering,
             (SELECT count(*)::int FROM pg_database WHERE datname = 'shop') AS shop,
             (SELECT count(*)::int FROM pg_authid WHERE rolname = 'clerk' AND rolpassword IS NOT NULL) AS clerk`);
    await client.end();
    expect(rows[0]).toEqual({ rows: 40_001, last: 1, recovering: false, shop: 1, clerk: 1 });
    expect(readFileSync(join(folder, 'recovery.log'), 'utf8')).toContain('archive recovery complete');
  });
});
