import { PutObjectCommand } from '@aws-sdk/client-s3';
import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listBackups } from '../../lib/cli/commands/list.ts';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { readObject } from '../../lib/cli/evidence.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { region } from '../../lib/cli/rehearse/rehearsal.ts';
import { backupPrefix, manifestKey, proofKey } from '../../lib/core/keys.ts';
import type { Manifest } from '../../lib/core/manifest.ts';
import type { BackupSummary, WorkflowFailure } from '../../lib/core/outcome.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** Names, inputs and manifests that want to be more than that, against the deployed workflows and a real server. */

const long = '日'.repeat(21); // 63 bytes, as long as a name can be.
const names = [`"; DROP TABLE customers; --`, `it's`, 'line\nbreak', '$(id)`id`', `{% $error('x') %}`, 'a.b', long];
const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
const database = `Sh"o'p ; {% 1 %}`;

let runs: RestoreRuns;
let backup: BackupSummary;

beforeAll(async () => {
  runs = await startRestoreRuns('hostile', 1_000_000);
  await runs.setTarget();
  await runs.sql('postgres', `CREATE DATABASE ${quote(database)}`);
  const statements = names.map((name, i) => {
    const table = `${quote(name)}.${quote(names[(i + 1) % names.length] as string)}`;
    return `CREATE ROLE ${quote(name)};
      CREATE SCHEMA ${quote(name)} AUTHORIZATION ${quote(name)};
      CREATE TABLE ${table} (${quote(name)} serial PRIMARY KEY, "väl ue" text);
      INSERT INTO ${table} ("väl ue") SELECT repeat(chr(39) || g, 20) FROM generate_series(1, 50) g;
      CREATE MATERIALIZED VIEW ${quote(name)}."m""v" AS SELECT count(*) FROM ${table};
      GRANT SELECT ON ${table} TO ${quote(name)}`;
  });
  await runs.sql(database, statements.join(';'));
  const { settings } = runs.rehearsal;
  await runs.setSettings({ ...settings, logical: { ...settings.logical, databases: [database], ownStreams: 3 } });
  backup = await runs.backup();
});
afterAll(() => runs?.stop());

describe('names with quotes, newlines, placeholders and 63 bytes', () => {
  it('are backed up, restored and compared as they are', async () => {
    const { failure, summary } = await runs.restore({ toDatabase: `re"stor'ed` });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ fromDatabase: database, rows: String(names.length * 50) });
    const rows = await runs.sql(`re"stor'ed`, 'SELECT nspname FROM pg_namespace');
    expect(rows.map(({ nspname }) => nspname)).toEqual(expect.arrayContaining(names));
  });

  it('are taken one at a time, and leave nothing of what they say done', async () => {
    const table = `${quote(names[0] as string)}.${quote(names[1] as string)}`;
    const { failure, summary } = await runs.restore({ toDatabase: 'one', tables: [table] });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ tables: 1, rows: '50' });
    const [customers] = await runs.sql('orders', `SELECT to_regclass('public.customers') IS NOT NULL AS there`);
    expect(customers).toEqual({ there: true });
  });
});

describe('an input of a workflow', () => {
  const start = async (input: string) => {
    const { clients, settings } = runs.rehearsal;
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({ stateMachineArn: stateMachineArn(settings, region, 'backup-logical'), input }),
    );
    const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
    expect(execution.status).toBe('FAILED');
    return JSON.parse(execution.cause ?? '') as WorkflowFailure;
  };

  it.each([
    ['of nothing', {}],
    ['a number', { database: 7 }],
    ['a list', { database: ['orders'] }],
    ['an expression', { database: "{% $eval('1') %}" }],
    ['a path', { database: '../databases/orders' }],
    ['with a quote', { database: "orders' & $error('x') & '" }],
    ['a text', 'orders'],
    ['null', null],
  ])('%s ends in an error of the catalogue', async (_, input) => {
    const failure = await start(JSON.stringify(input));
    expect(['InputInvalid', 'UnknownDatabase']).toContain(failure.error);
    expect(failure.tryNext).not.toBe('');
  });

  it('larger than Step Functions takes is refused by it', async () => {
    await expect(start(JSON.stringify({ database: 'x'.repeat(300_000) }))).rejects.toThrow(/256|262144|length/i);
  });

  it('with a selection of the wrong kind is refused by the task, and nothing is written', async () => {
    const failure = await start(JSON.stringify({ database: 'orders', select: { include: 7 } }));
    expect(failure.error).toBe('RequestInvalid');
  });
});

it('a manifest that was altered by hand ends a restore before it has begun', async () => {
  const { clients, settings } = runs.rehearsal;
  const text = await readObject(clients, settings.bucket, backup.manifestKey);
  const manifest = JSON.parse(text as string) as Manifest;
  const id = '20261121T020000Z-forged';
  const key = manifestKey(backupPrefix(settings, id));
  const [record] = manifest.databases;
  const relation = 'pg_catalog.pg_class; DROP DATABASE orders';
  const forged = { ...manifest, id, databases: [{ ...record, materializedViews: [{ relation, populated: true }] }] };
  await clients.s3.send(new PutObjectCommand({ Bucket: settings.bucket, Key: key, Body: JSON.stringify(forged) }));
  const { failure } = await runs.restore({ toDatabase: 'forged', backupId: id });
  expect(failure).toMatchObject({ error: 'ManifestInvalid', message: expect.stringContaining('materializedViews.0') });
  expect(await runs.sql('postgres', `SELECT FROM pg_database WHERE datname = 'forged'`)).toEqual([]);
});

it('a report of a restore test that is none proves nothing, and hides no backup', async () => {
  const { clients, settings } = runs.rehearsal;
  for (const [i, Body] of ['{', 'null', '7', '{"backupId":7}'].entries()) {
    const Key = proofKey(settings, `20261121T020000Z-${i}`, 'json');
    await clients.s3.send(new PutObjectCommand({ Bucket: settings.bucket, Key, Body }));
  }
  const listed = await listBackups(clients, settings);
  expect(listed).toContainEqual(expect.objectContaining({ id: backup.id, provenLevel: null }));
});
