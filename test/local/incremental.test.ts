import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBackup } from '../../lib/cli/evidence.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';

const directory = join(workDirectory, 'rehearse', `incremental-${process.pid}`);

/** A table of ten partitions of which one changes between two backups. */
describe('a backup after a verified one', () => {
  let rehearsal: Rehearsal;
  const backup = async () => {
    const run = await rehearsal.run('backup-logical');
    expect(run.failure).toBeUndefined();
    return run.outcome?.backup as NonNullable<NonNullable<typeof run.outcome>['backup']>;
  };

  beforeAll(async () => {
    rehearsal = await startRehearsal({
      postgres: providePostgres(() => {}),
      directory,
      size: 1_000_000,
      steps: createSteps(createOutput(true)),
      writeLoad: false,
    });
    const client = await rehearsal.source.server.connect('orders');
    await client.query(`CREATE TABLE parts (p int, filler text) PARTITION BY LIST (p)`);
    for (let p = 0; p < 10; p++) {
      await client.query(`CREATE TABLE parts_${p} PARTITION OF parts FOR VALUES IN (${p})`);
      await client.query(
        `INSERT INTO parts SELECT ${p}, md5(i::text) || md5((i + 1)::text) FROM generate_series(1, 40000) i`,
      );
    }
    await client.end();
  });
  afterAll(async () => {
    await rehearsal?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('stores what has changed, about a tenth, refers to the rest, and restores proven from both', async () => {
    const first = await backup();
    expect(first.newBytes).toBe(first.bytes);
    const client = await rehearsal.source.server.connect('orders');
    await client.query(`UPDATE parts_3 SET filler = filler || 'x' WHERE ctid = '(0,1)'`);
    await client.end();

    const second = await backup();
    expect(second.newBytes).toBeLessThan(first.bytes * 0.2);
    const { clients, settings } = rehearsal;
    const before = (await readBackup(clients, settings.bucket, first.manifestKey)).manifest;
    const after = (await readBackup(clients, settings.bucket, second.manifestKey)).manifest;
    expect(after?.parentId).toBe(first.id);
    const changed = after?.objects.filter((o) => o.relation && !before?.objects.some((b) => b.key === o.key));
    expect(changed?.map((o) => o.relation)).toEqual(['public.parts_3']);

    const restore = await rehearsal.run('restore-test');
    expect(restore.outcome?.proof).toMatchObject({ backupId: second.id });
  });

  it('does not refer to an object under columns of another name', async () => {
    const client = await rehearsal.source.server.connect('orders');
    await client.query('ALTER TABLE parts RENAME COLUMN filler TO stuffing');
    await client.end();
    const third = await backup();
    expect(third.newBytes).toBeGreaterThan(third.bytes * 0.9);
    expect((await rehearsal.run('restore-test')).outcome?.ok).toBe(true);
  });
});
