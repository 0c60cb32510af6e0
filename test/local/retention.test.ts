import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { listKeys } from '../../lib/cli/evidence.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { logicalPrefix } from '../../lib/core/keys.ts';
import type { Outcome } from '../../lib/core/outcome.ts';

const directory = join(workDirectory, 'rehearse', `retention-${process.pid}`);

/** Real backups whose rules are shortened to seconds, as an operator would change them: by the parameters. */
describe('retention of real backups', () => {
  let rehearsal: Rehearsal;
  const ids: string[] = [];

  const override = (name: string, value: object) =>
    rehearsal.clients.ssm.send(
      new PutParameterCommand({ Name: `/rehearsal/databases/${name}`, Value: JSON.stringify(value), Overwrite: true }),
    );
  const rules = (dailySeconds: number) =>
    override('orders/retention', {
      schemaVersion: 1,
      dailySeconds,
      monthlySeconds: 0,
      windowSeconds: 0,
      orphanSeconds: 86_400,
    });
  const apply = async (input: object = {}) => {
    const { clients, settings } = rehearsal;
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArn(settings, clients.region, 'retention'),
        input: JSON.stringify({ database: 'orders', ...input }),
      }),
    );
    for (;;) {
      const execution = await clients.sfn.send(new DescribeExecutionCommand({ executionArn }));
      if (execution.status !== 'RUNNING') return execution;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const outcomeOf = async (input?: object): Promise<Outcome> => {
    const execution = await apply(input);
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    return JSON.parse(execution.output ?? '');
  };
  const stored = async () => {
    const keys = await listKeys(rehearsal.clients, rehearsal.settings.bucket, logicalPrefix(rehearsal.settings));
    return ids.filter((id) => keys.some((key) => key.includes(`/${id}/`)));
  };

  beforeAll(async () => {
    rehearsal = await startRehearsal({
      postgres: providePostgres(() => {}),
      directory,
      size: 1_000_000,
      steps: createSteps(createOutput(true)),
      writeLoad: false,
    });
    const { settings } = rehearsal;
    await override('orders', { ...settings, lock: { ...settings.lock, seconds: 60 } });
    for (let i = 0; i < 3; i++) {
      const { outcome } = await rehearsal.run('backup-logical');
      ids.push(outcome?.backup?.id as string);
    }
    // No lock is left in the way.
    await rehearsal.cloud.advance(120_000);
  });
  afterAll(async () => {
    await rehearsal?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('keeps all that are young', async () => {
    const { retention } = await outcomeOf();
    expect(retention).toMatchObject({ kept: 3, expired: 0, objects: 0, dryRun: false });
  });

  it('shows in a dry run what would go, and lets it be', async () => {
    await rules(1);
    const { retention } = await outcomeOf({ dryRun: true });
    expect(retention).toMatchObject({ kept: 1, expired: 2, dryRun: true });
    expect(retention?.expires.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(await stored()).toEqual(ids);
  });

  it('removes what no rule keeps, tells nobody, and what is left restores', async () => {
    const told = rehearsal.webhook.messages.length;
    const { retention } = await outcomeOf();
    expect(retention).toMatchObject({ kept: 1, expired: 2, dryRun: false });
    expect(await stored()).toEqual(ids.slice(2));
    expect(rehearsal.webhook.messages).toHaveLength(told);
    // A delete marker hides it; the version itself is still there to be brought back.
    const { clients, settings } = rehearsal;
    const versions = await clients.s3.send(
      new ListObjectVersionsCommand({
        Bucket: settings.bucket,
        Prefix: `${logicalPrefix(settings)}${ids[0]}/manifest`,
      }),
    );
    expect(versions.Versions).toHaveLength(1);
    expect(versions.DeleteMarkers).toHaveLength(1);
    const proof = await rehearsal.run('restore-test');
    expect(proof.outcome?.proof).toMatchObject({ backupId: ids[2] });
  });

  it('removes nothing when an object of a backup is missing, and says which', async () => {
    const { clients, settings } = rehearsal;
    // The clock of the store is ahead of the task's.
    await override('orders', settings);
    const fourth = (await rehearsal.run('backup-logical')).outcome?.backup?.id as string;
    ids.push(fourth);
    const lost = `${logicalPrefix(settings)}${fourth}/globals.sql.zst`;
    await clients.s3.send(new DeleteObjectCommand({ Bucket: settings.bucket, Key: lost }));
    const execution = await apply();
    expect(execution).toMatchObject({ status: 'FAILED', error: 'ObjectMissing' });
    expect(JSON.parse(execution.cause ?? '').message).toContain(lost);
    expect(await stored()).toEqual(ids.slice(2));
    await expect.poll(() => rehearsal.webhook.messages.at(-1)?.text).toContain('Retention FAILED');
  });
});
