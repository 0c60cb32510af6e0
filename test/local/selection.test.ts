import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { latestProof, readBackup, readMetrics } from '../../lib/cli/evidence.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { region } from '../../lib/cli/rehearse/rehearsal.ts';
import type { Manifest } from '../../lib/core/manifest.ts';
import type { BackupSummary } from '../../lib/core/outcome.ts';
import { failedChecks } from '../../lib/core/proof.ts';
import { parseSelection, type selectionSchema } from '../../lib/core/selection.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** Backups of a part: nothing of the rest is read, what cannot come back is named, and the proof is of that part. */

type Select = Parameters<typeof selectionSchema.parse>[0];

let runs: RestoreRuns;
beforeAll(async () => {
  runs = await startRestoreRuns('selection');
  await runs.setTarget();
  await runs.sql(
    'orders',
    `CREATE SCHEMA etl;
     CREATE TABLE etl.raw (line text);
     INSERT INTO etl.raw VALUES ('x');
     CREATE FUNCTION etl.normal(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
     CREATE FUNCTION etl.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE INDEX documents_normal ON documents (etl.normal(title));
     COMMENT ON INDEX documents_normal IS 'goes with it';
     CREATE TRIGGER products_touched BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION etl.touched();
     GRANT SELECT ON documents TO PUBLIC`,
  );
});
afterAll(() => runs?.stop());

const configure = (select?: Select) => {
  const { settings } = runs.rehearsal;
  return runs.setSettings({
    ...settings,
    logical: { ...settings.logical, ...(select ? { select: parseSelection(select) } : {}) },
    restoreTest: { assertions: [] },
  });
};
const manifestOf = async ({ manifestKey }: BackupSummary) => {
  const { clients, settings } = runs.rehearsal;
  return (await readBackup(clients, settings.bucket, manifestKey)).manifest as Manifest;
};

/** Takes it as configured, restores and proves it; gives what the manifest and the report say. */
async function proven(select: Select) {
  await configure(select);
  const summary = await runs.backup();
  const { selection, tables } = (await manifestOf(summary)).databases[0] as Manifest['databases'][number];
  const test = await runs.rehearsal.run('restore-test');
  expect(test.failure).toBeUndefined();
  const { clients, settings } = runs.rehearsal;
  const report = (await latestProof(clients, settings, test.startedAt))?.report;
  const proof = report?.databases[0];
  expect(failedChecks(proof?.checks ?? [])).toEqual([]);
  expect(report).toMatchObject({ backupId: summary.id, level: 'L5' });
  const rowsOf = (name: string) => proof?.tables.find(({ relation }) => relation === name)?.rows;
  return { summary, selection, recorded: tables, proof, outcome: test.outcome, rowsOf };
}

describe('a backup without some tables and schemas', () => {
  it('does not touch them, names what goes with them, and is proven without them', async () => {
    const locks = await runs.rehearsal.source.server.connect('orders');
    // Whoever reads a table waits for this; a backup that leaves it out does not.
    await locks.query('BEGIN; LOCK TABLE customers, etl.raw IN ACCESS EXCLUSIVE MODE');
    onTestFinished(() => locks.end());
    const { selection, recorded, proof, rowsOf, summary, outcome } = await proven({
      exclude: { schemas: ['etl'], tables: ['public.customers'], rows: ['public.events', 'public.products'] },
    });

    const described =
      'without schemas etl; without tables public.customers; without the rows of public.events, public.products';
    expect(summary.partial).toBe(described);
    expect(proof?.partial).toBe(described);
    expect(outcome?.proof?.partial).toBe(described);
    expect(selection?.excluded).toEqual([
      'schema etl',
      'public.customers',
      'public.customers_id_seq',
      'public.open_orders',
      'sales.revenue_by_country',
    ]);
    expect(selection?.leftOut.map(({ kind, tag }) => `${kind} ${tag}`).sort()).toEqual([
      'FK CONSTRAINT order_items order_items_product_id_fkey',
      'FK CONSTRAINT orders orders_customer_id_fkey',
      'INDEX documents_normal',
      'TRIGGER products products_touched',
    ]);
    expect(recorded.map(({ relation }) => relation)).not.toContain('public.customers');
    expect(rowsOf('public.events_rest')).toBe('0');
    expect(rowsOf('public.products')).toBe('0');
    expect(rowsOf('public.orders')).not.toBe('0');
    expect(selection?.withoutRows).toContain('public.events_2026_01');
  });

  it('is restored into a new database with a word on what is missing', async () => {
    const { summary, failure } = await runs.restore({ toDatabase: 'without' });
    expect(failure).toBeUndefined();
    expect(summary?.partial).toMatch(/^without schemas etl/);
    expect(summary?.omitted.map(({ what }) => what)).toContain('index public.documents_normal');
    expect(
      await runs.sql(
        'without',
        `SELECT to_regclass('customers') AS gone, (SELECT count(*)::int > 0 FROM orders) AS there`,
      ),
    ).toEqual([{ gone: null, there: true }]);
    const one = await runs.restore({ toDatabase: 'one', tables: ['public.products'] });
    expect(one.failure).toMatchObject({
      error: 'TableNotInBackup',
      message: expect.stringMatching(/without the rows of public\.products/),
    });
  });
});

describe('a backup of some tables and schemas', () => {
  it('brings them with what they need, and says what it had to do without', async () => {
    const { selection, rowsOf, proof, summary } = await proven({
      include: { schemas: ['sales'], tables: ['public.prod*', 'public.events'] },
    });
    expect(selection?.included).toMatchObject({ schemas: ['sales'] });
    expect(proof?.tables.map(({ relation }) => relation)).toEqual([
      'public.events_2026_01',
      'public.events_2026_02',
      'public.events_2026_03',
      'public.events_rest',
      'public.products',
      'sales.invoices',
    ]);
    expect(rowsOf('sales.invoices')).not.toBe('0');
    const whole = await runs.restore({ toDatabase: 'some' });
    expect(whole.failure).toBeUndefined();
    expect(whole.summary).toMatchObject({ backupId: summary.id, tables: 6 });
    expect(whole.summary?.omitted.map(({ what }) => what)).toContain(
      'fk constraint sales.invoices invoices_order_id_fkey',
    );
    expect((await runs.restore({ toDatabase: 'other', schemas: ['public'] })).failure).toMatchObject({
      error: 'TableNotInBackup',
    });
  });

  it('refuses a name that is in none of the databases', async () => {
    await configure({ include: { tables: ['public.ordres'] } });
    const { failure } = await runs.rehearsal.run('backup-logical');
    expect(failure).toMatchObject({ error: 'SelectionEmpty', message: expect.stringContaining('public.ordres') });
  });

  it('refuses what cannot be made without what is left out', async () => {
    await runs.sql('orders', "CREATE TYPE etl.colour AS ENUM ('red'); CREATE TABLE painted (colour etl.colour)");
    await configure({ exclude: { schemas: ['etl'] } });
    const { failure } = await runs.rehearsal.run('backup-logical');
    await runs.sql('orders', 'DROP TABLE painted; DROP TYPE etl.colour');
    expect(failure).toMatchObject({ error: 'BackupIncomplete', message: expect.stringContaining('painted.colour') });
  });
});

it('a backup of the definitions has no rows, and is proven to have none', async () => {
  const { summary, recorded } = await proven({ schemaOnly: true });
  expect(summary.partial).toBe('definitions without rows');
  expect(recorded.every(({ rows }) => rows === '0')).toBe(true);
  expect((await manifestOf(summary)).objects.map(({ role }) => role).sort()).toEqual([
    'fingerprint',
    'globals',
    'schema',
  ]);
});

describe('a backup that somebody asked for', () => {
  it('is kept apart: no metric, no parent, no default of a restore', async () => {
    await configure();
    const daily = await runs.backup();
    const { clients, settings } = runs.rehearsal;
    const before = new Date();
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArn(settings, region, 'backup-logical'),
        input: JSON.stringify({ database: 'orders', select: { include: { tables: ['public.documents'] } } }),
      }),
    );
    const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
    const outcome = JSON.parse(execution.output ?? '{}');
    expect(outcome).toMatchObject({
      ok: true,
      adhoc: true,
      backup: { adhoc: true, partial: 'only tables public.documents' },
    });
    expect(outcome.backup.manifestKey).toContain('/main/adhoc/');
    // A sample of this minute may be the daily backup's: its size tells them apart.
    expect((await readMetrics(clients, 'orders', before)).BackupBytes).not.toBe(outcome.backup.bytes);

    expect((await runs.restore({ toDatabase: 'newest' })).summary?.backupId).toBe(daily.id);
    const asked = await runs.restore({ backupId: outcome.backup.id, toDatabase: 'asked' });
    expect(asked.summary).toMatchObject({ partial: 'only tables public.documents', scope: 'tables' });
    expect((await manifestOf(await runs.backup())).parentId).toBe(daily.id);
  });

  it('is refused when it asks for what is no selection', async () => {
    const { clients, settings } = runs.rehearsal;
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArn(settings, region, 'backup-logical'),
        input: JSON.stringify({ database: 'orders', select: { table: 'documents' } }),
      }),
    );
    const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
    expect(execution.error).toBe('RequestInvalid');
  });
});
