import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { type Rehearsal, region, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { describeWithPeers } from './peers.ts';

/** docs/runbooks/restore-by-hand.md, done as it says: with stock programs alone, on a backup that refers to another. */
describeWithPeers('the runbook of a restore by hand', ['aws', 'zstd'], (aws, zstd) => {
  const directory = join(workDirectory, 'rehearse', `by-hand-${process.pid}`);
  const postgres = providePostgres(() => {});
  let rehearsal: Rehearsal;
  let target: PostgresServer;

  beforeAll(async () => {
    const steps = createSteps(createOutput(true));
    rehearsal = await startRehearsal({ postgres, directory, size: 20_000_000, steps, writeLoad: false });
    target = await startPostgres({ bin: postgres.bin, directory: join(directory, 'target') });
  });
  afterAll(async () => {
    await target?.stop();
    await rehearsal?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('brings back every row of a backup whose tables lie under two ids', async () => {
    await rehearsal.run('backup-logical');
    const second = (await rehearsal.run('backup-logical')).outcome?.backup;
    expect(second?.newBytes).toBeLessThan(second?.bytes ?? 0);

    const page = readFileSync('docs/runbooks/restore-by-hand.md', 'utf8');
    const script = /```sh\n(.*?)```/s.exec(page)?.[1]?.replaceAll('acme/', 'rehearsal/') ?? '';
    const folder = join(directory, 'by-hand');
    mkdirSync(folder);
    const { user, password } = target.superuser;
    // Not synchronously: the cloud that answers lives in this process.
    const run = await promisify(execFile)('bash', ['-c', script], {
      cwd: folder,
      timeout: 200_000,
      env: {
        ...rehearsal.cloud.environment(region),
        PATH: [postgres.bin, dirname(aws), dirname(zstd), dirname(process.execPath), '/usr/bin:/bin'].join(':'),
        HOME: folder,
        BUCKET: rehearsal.settings.bucket,
        BACKUP_ID: second?.id,
        PGHOST: target.host,
        PGPORT: String(target.port),
        PGUSER: user,
        PGPASSWORD: password,
      },
    });
    expect(
      run.stderr.split('\n').filter((line) => /error/i.test(line) && !/role "postgres" already exists/.test(line)),
    ).toEqual([]);

    const count = async (server: PostgresServer) => {
      const client = await server.connect('orders');
      const tables = [
        'customers',
        'orders',
        'order_items',
        'events',
        'documents',
        'attachments',
        'sales.invoices',
        'sales.revenue_by_country',
      ];
      const { rows } = await client.query(
        tables.map((t) => `SELECT '${t}' AS t, count(*)::int AS n FROM ${t}`).join(' UNION ALL '),
      );
      await client.end();
      return rows;
    };
    expect(await count(target)).toEqual(await count(rehearsal.source.server));
  });
});
