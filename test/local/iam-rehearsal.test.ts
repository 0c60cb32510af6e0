import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Followed, followExecution } from '../../lib/cli/follow.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import {
  database,
  type Rehearsal,
  region,
  restoreSecret,
  startRehearsal,
  system,
} from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { functionName, stateMachineName } from '../../lib/config/names.ts';
import type { Workflow } from '../../lib/core/outcome.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { sendSigned } from '../../local/runtime/signed-request.ts';
import { expectAllNeeded, expectAllUsed } from './permissions-in-use.ts';
import {
  awaitHeartbeat,
  byTask,
  expectStopped,
  giveUp,
  isSecondPart,
  scaleReceiver,
  strikeOnce,
} from './rehearsal-strikes.ts';

/**
 * What the templates allow, held against what logical backups and everything around them do (of physical ones:
 * pitr.test.ts). What only failures use is used by failures that are brought about here.
 */

const directory = join(workDirectory, 'rehearse', `iam-${process.pid}`);
const account = '111122223333';
let rehearsal: Rehearsal;

type Ended = Pick<Followed, 'execution'>;

/** Runs a workflow to its end: by its schedule, or as a person starts it. */
async function run(workflow: Workflow, input: object = {}): Promise<Ended> {
  if (workflow !== 'restore' && Object.keys(input).length === 0) return rehearsal.run(workflow);
  const { sfn } = rehearsal.clients;
  const stateMachineArn = `arn:aws:states:${region}:${account}:stateMachine:${stateMachineName(system, workflow)}`;
  const target = workflow === 'restore' ? { targetSecret: restoreSecret } : {};
  const { executionArn } = await sfn.send(
    new StartExecutionCommand({ stateMachineArn, input: JSON.stringify({ database, ...target, ...input }) }),
  );
  return followExecution(sfn, String(executionArn), { interval: 100 });
}

const jobs = [
  ['backup-logical', 'backup'],
  ['restore-test', 'restore'],
  ['restore', 'recover'],
] as const;

beforeAll(async () => {
  const postgres = providePostgres(() => {});
  // Large enough for multipart uploads.
  rehearsal = await startRehearsal({ postgres, directory, size: 80_000_000, steps: createSteps(createOutput(true)) });
  await scaleReceiver(rehearsal, 0);
});

afterAll(async () => {
  await rehearsal?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('with policies enforced', () => {
  it('a backup that is refused aborts its uploads', async () => {
    // The first one: later ones have no large table to upload again.
    const { execution } = await strikeOnce(
      rehearsal,
      () => run('backup-logical'),
      isSecondPart('backup'),
      () => {
        throw new AwsError('InvalidRequest', 'Refused by the test.', 400);
      },
    );
    expect(execution.error).toBe('StorageRefused');
    expect(rehearsal.cloud.calls().some(({ operation }) => operation === 'AbortMultipartUpload')).toBe(true);
  });

  it.each(jobs)('%s succeeds', async (workflow, job) => {
    const { execution } = await strikeOnce(rehearsal, () => run(workflow), byTask(job), awaitHeartbeat(rehearsal));
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
  });

  it('a backup succeeds that refers to objects of the one before', async () => {
    const { execution } = await run('backup-logical');
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
    expect(rehearsal.cloud.calls().some(({ operation }) => operation === 'PutObjectRetention')).toBe(true);
  });

  it('a stored backup is read again', async () => {
    const { execution } = await run('verify', { backupId: null });
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
  });

  it('a backup that meets another object under its key reads it and says so', async () => {
    const isPut = (call: ApiCall) => call.operation === 'PutObject' && byTask('backup')(call);
    const { execution } = await strikeOnce(
      rehearsal,
      () => run('backup-logical'),
      isPut,
      async ({ input }) => {
        const { Bucket, Key } = input as { Bucket: string; Key: string };
        await rehearsal.clients.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'of somebody else' }));
      },
    );
    expect(execution.error).toBe('ManifestConflict');
  });

  it.each(jobs)('a task of %s that was given up is stopped', async (workflow, job) => {
    const { execution } = await giveUp(rehearsal, () => run(workflow), job);
    await expectStopped(rehearsal, execution);
  });

  it.each([
    ['restore-test', {}],
    // Into the server that was backed up.
    ['restore', { targetSecret: null }],
  ] as const)('%s of a backup that is not there fails by its name', async (workflow, input) => {
    const { execution } = await run(workflow, { ...input, backupId: '20200101T000000Z-000000' });
    expect(execution.error).toBe('BackupNotFound');
  });

  it('a function that reads a manifest which is not there is told so', async () => {
    const { cloud } = rehearsal;
    const manifestKey = 'rehearsal/orders/main/logical/none/manifest.json';
    const event = { settings: rehearsal.settings, manifestKey, batch: { manifestKey, ranges: [] }, results: [] };
    for (const name of ['plan-verification', 'verify-objects', 'confirm-verification']) {
      const answer = await sendSigned(cloud, cloud.client(region).credentials, {
        service: 'lambda',
        region,
        path: `/2015-03-31/functions/${functionName(system, name)}/invocations`,
        body: JSON.stringify(event),
      });
      expect([name, await answer.json()]).toMatchObject([name, { errorType: 'BackupNotFound' }]);
    }
  });

  it('a database is looked at, and the other region told', async () => {
    await rehearsal.publishPosture();
    const told = () => rehearsal.cloud.calls().some(({ operation }) => operation === 'PutMetricData');
    await expect.poll(told, { timeout: 20_000 }).toBe(true);
  });

  it('a message that Slack refuses is kept in a dead-letter queue', async () => {
    const { cloud, clients, webhook } = rehearsal;
    const setUrl = (url: string) =>
      clients.secrets.send(
        new PutSecretValueCommand({ SecretId: 'pgdr/slack', SecretString: JSON.stringify({ url }) }),
      );
    await setUrl(`${webhook.url}-of-another`);
    const notice = { AlarmName: 'a', AlarmArn: 'arn:aws:x:y', NewStateValue: 'ALARM', NewStateReason: 'r' };
    await sendSigned(cloud, cloud.client(region).credentials, {
      service: 'lambda',
      region,
      path: `/2015-03-31/functions/${functionName(system, 'notify-slack')}/invocations`,
      headers: { 'x-amz-invocation-type': 'Event' },
      body: JSON.stringify({ Records: [{ Sns: { Message: JSON.stringify(notice) } }] }),
    });
    const kept = () =>
      cloud
        .calls()
        .some(({ operation, principal }) => operation === 'SendMessage' && /Notify/.test(principal.roleArn ?? ''));
    await expect.poll(kept, { timeout: 30_000 }).toBe(true);
    await setUrl(webhook.url);
  });

  it('retention removes what failed backups left, and says so when it cannot', async () => {
    const { clients, settings, cloud } = rehearsal;
    const put = (key: string, text: string) =>
      clients.s3.send(
        new PutObjectCommand({ Bucket: settings.bucket, Key: `rehearsal/orders/main/${key}`, Body: text }),
      );
    const override = (name: string, value: object) =>
      clients.ssm.send(
        new PutParameterCommand({
          Name: `/${system}/databases/${name}`,
          Value: JSON.stringify(value),
          Overwrite: true,
        }),
      );
    const archive = { schemaVersion: 1, systemIdentifier: '1', walSegmentBytes: 2 ** 24, startedAt: '2026-01-01' };
    await put('wal/archive.json', JSON.stringify(archive));
    await put('wal/00000002.history', '1\t0/3000000\tno recovery target specified\n');
    await put('wal/00000001/000000010000000000000001.zst', 'older than the base backup');
    await put('base/orphan/base.tar.zst', 'of a backup that never ended');
    const base = { kind: 'physical', id: 'p', parentId: null, timeline: 1, startLsn: '0/5000000', lockUntil: null };
    await put('base/p/manifest.json', JSON.stringify({ ...base, stoppedAt: '2026-01-01T00:00:00Z', objects: [] }));
    await put('base/p/verification.json', '{}');
    await put('logical/broken/manifest.json', 'not JSON');
    expect((await run('retention')).execution.error).toBe('ManifestInvalid');

    await clients.s3.send(
      new DeleteObjectCommand({ Bucket: settings.bucket, Key: 'rehearsal/orders/main/logical/broken/manifest.json' }),
    );
    await override(database, { ...settings, lock: { ...settings.lock, seconds: 1 } });
    const rules = { dailySeconds: 86_400, monthlySeconds: 0, windowSeconds: 0, orphanSeconds: 1 };
    await override(`${database}/retention`, { schemaVersion: 1, ...rules });
    // The locks of what was put last, and its time as something left behind.
    await delay(2000);
    const { execution } = await run('retention');
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
    expect(cloud.calls().some(({ operation }) => operation === 'DeleteObjects')).toBe(true);
  });

  it('a schedule whose start is refused is kept in the dead-letter queue', async () => {
    const undo = rehearsal.cloud.intercept((call) => {
      if (call.operation === 'StartExecution') throw new AwsError('ValidationException', 'Refused by the test.');
    });
    await expect(rehearsal.run('backup-logical')).rejects.toThrow(/Refused by the test/);
    undo();
    const sent = rehearsal.cloud.calls().findLast(({ operation }) => operation === 'SendMessage');
    expect(sent?.principal.roleArn).toMatch(/-schedules-/);
  });
});

describe('what the templates allow', () => {
  it('is all used, but for what has a reason written down', () => expectAllUsed(rehearsal, 'logical'));

  it('has no statement without which nothing would be refused', () => {
    expect(expectAllNeeded(rehearsal, 'logical').length).toBeGreaterThan(40);
  });
});
