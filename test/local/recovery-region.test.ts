import { readFileSync, writeFileSync } from 'node:fs';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../../lib/cli/clients.ts';
import { listBackups } from '../../lib/cli/commands/list.ts';
import { readSettings, stateMachineArn } from '../../lib/cli/deployed.ts';
import { toCliError } from '../../lib/cli/errors.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { database, region as primary, restoreSecret, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { globalsKey, prefixOfManifest } from '../../lib/core/keys.ts';
import type { BackupSummary, Outcome, Workflow, WorkflowFailure } from '../../lib/core/outcome.ts';
import type { DatabaseSettings } from '../../lib/core/settings.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

const recovery = 'us-east-1';

/** A backup is taken in the primary region, encrypted before it is stored; then that region is gone. */
describe('the recovery region by itself', () => {
  let runs: RestoreRuns;
  let backup: BackupSummary;
  let clients: Clients;
  let settings: DatabaseSettings;

  const run = async (workflow: Workflow, input: object = {}) => {
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArn(settings, recovery, workflow),
        input: JSON.stringify({ database, ...input }),
      }),
    );
    const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
    return {
      outcome: execution.output === undefined ? undefined : (JSON.parse(execution.output) as Outcome),
      failure: execution.cause === undefined ? undefined : (JSON.parse(execution.cause) as WorkflowFailure),
    };
  };

  beforeAll(async () => {
    runs = await startRestoreRuns('recovery-region', 2_000_000, { clientEncryption: true });
    const { cloud, source } = runs.rehearsal;
    clients = createClients(cloud.client(recovery));
    settings = await readSettings(clients, system, database);
    const { user: username, password } = source.server.superuser;
    const SecretString = JSON.stringify({ ...source.secret, username, password });
    await clients.secrets.send(new CreateSecretCommand({ Name: restoreSecret, SecretString }));
    backup = await runs.backup();
    while (cloud.s3.replication.backlog() > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    cloud.outage(primary, 'down');
  });
  afterAll(async () => {
    clients?.close();
    await runs?.stop();
  });

  it('is named to whoever asks the one that is gone', async () => {
    const error = await readSettings(runs.rehearsal.clients, system, database).catch(toCliError);
    expect(error).toMatchObject({ name: 'EndpointUnreachable', tryNext: expect.stringContaining('--region') });
  });

  it('has the backup in its own bucket under its own key, verified', async () => {
    expect(settings.bucket).toBe(runs.rehearsal.settings.bucket.replace(primary, recovery));
    const [listed] = await listBackups(clients, settings);
    expect(listed).toMatchObject({ id: backup.id, tables: backup.tables, bytes: backup.bytes });
    expect(listed?.verifiedAt).not.toBeNull();
  });

  it('reads every byte of it again, and keeps what was written down before', async () => {
    const before = await listBackups(clients, settings);
    const { outcome, failure } = await run('verify');
    expect(failure).toBeUndefined();
    expect(outcome?.verification).toMatchObject({
      backupId: backup.id,
      bytes: backup.bytes,
      objects: backup.objects,
      recorded: false,
    });
    expect(await listBackups(clients, settings)).toEqual(before);
  });

  it('proves it to L5', async () => {
    const { outcome, failure } = await run('restore-test');
    expect(failure).toBeUndefined();
    expect(outcome?.proof).toMatchObject({ level: 'L5', backupId: backup.id });
  });

  it('restores it, with nothing asked of the region that is gone', async () => {
    const { outcome, failure } = await run('restore', { targetSecret: restoreSecret, toDatabase: 'after_outage' });
    expect(failure).toBeUndefined();
    expect(outcome?.restore).toMatchObject({ backupId: backup.id, tables: backup.tables });
    const rows = await runs.sql('after_outage', 'SELECT count(*)::int AS n FROM customers');
    expect(rows).toEqual(await runs.sql('orders', 'SELECT count(*)::int AS n FROM customers'));
  });

  it('tells the object that was altered, by its name', async () => {
    const key = globalsKey(prefixOfManifest(backup.manifestKey));
    const file = runs.rehearsal.cloud.s3.locate(settings.bucket, key) as string;
    const bytes = readFileSync(file);
    bytes[0] = (bytes[0] as number) ^ 1;
    writeFileSync(file, bytes);
    const { failure } = await run('verify', { backupId: backup.id });
    expect(failure).toMatchObject({
      error: 'ObjectAltered',
      step: 'Verify objects',
      message: expect.stringContaining(`${key} part 1 `),
    });
  });

  it('finds no backup of a name that none has', async () => {
    const { failure } = await run('verify', { backupId: '20200101T000000Z-000000' });
    expect(failure).toMatchObject({ error: 'BackupNotFound', message: expect.stringContaining('20200101T000000Z') });
  });
});
