import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { SendTaskFailureCommand, StartExecutionCommand } from '@aws-sdk/client-sfn';
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
import { functionName, stateMachineName, type TaskPurpose, taskRoleName } from '../../lib/config/names.ts';
import type { Workflow } from '../../lib/core/outcome.ts';
import { type ApiCall, AwsError, type Caller } from '../../local/facade.ts';
import { createAuthority } from '../../local/iam/authority.ts';
import { accessDenied } from '../../local/iam/denial.ts';
import type { RoleStatements } from '../../local/iam/unused.ts';
import { sendSigned } from '../../local/runtime/signed-request.ts';

/**
 * What the templates allow, held against what a rehearsal does: nothing is missing, or it would not pass, and nothing
 * is there without a use. What only failures use is used by failures that are brought about here.
 */

const directory = join(workDirectory, 'rehearse', `iam-${process.pid}`);
const account = '111122223333';
let rehearsal: Rehearsal;

/** Permissions that none of this uses, by role, with the reason why they are given all the same. */
const unusedHere: readonly { role: RegExp; actions: readonly string[]; why: string }[] = [
  {
    role: /FlowLogIAMRole/,
    actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
    why: 'the VPC writes its flow log, and no packet crosses a VPC here',
  },
  {
    role: /-pgdr-replication-/,
    actions: ['s3:GetObjectVersionTagging', 's3:GetObjectRetention', 's3:GetObjectLegalHold', 's3:ReplicateTags'],
    why: 'S3 demands them of a bucket with Object Lock; here it copies the lock with the rest, and nothing has a tag',
  },
  {
    role: /-(Workflows(BackupLogical|RestoreTest|Restore)|RetentionWorkflow)Rol/,
    actions: ['logs:DeleteLogDelivery'],
    why: 'Step Functions ends the delivery of a machine that is deleted or logs no more',
  },
];

/** The roles of the region in which the rehearsal runs; the other region has the same ones for the day of its need. */
function roles(): RoleStatements[] {
  const arns = rehearsal.cloud.stacks
    .filter((stack) => stack.region === region)
    .flatMap((stack) => Object.values(stack.resources))
    .filter(({ type }) => type === 'AWS::IAM::Role')
    .map(({ made }) => made.attributes?.Arn);
  return rehearsal.cloud.iam.statements().filter(({ arn }) => arns.includes(arn));
}

const roleOf = (call: ApiCall): string => call.principal.roleArn?.split('/').at(-1) ?? '';

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

/** Runs a workflow with something done to it, once, by the first call that fits. */
async function runWith(
  workflow: Workflow,
  fits: (call: ApiCall) => boolean,
  strike: (call: ApiCall) => Promise<unknown> | undefined,
): Promise<Ended> {
  let struck = false;
  const undo = rehearsal.cloud.intercept(async (call) => {
    if (struck || !fits(call)) return;
    struck = true;
    await strike(call);
  });
  try {
    const ended = await run(workflow);
    expect(struck).toBe(true);
    return ended;
  } finally {
    undo();
  }
}

/** A call on S3 by the task of a workflow. */
const byTask =
  (job: TaskPurpose) =>
  (call: ApiCall): boolean =>
    call.service === 's3' && roleOf(call) === taskRoleName(system, database, job, region);

/** Waits for a sign of life of the task that calls. */
const heartbeat = ({ principal }: ApiCall) =>
  expect
    .poll(
      () =>
        rehearsal.cloud
          .calls()
          .some((call) => call.operation === 'SendTaskHeartbeat' && call.principal.arn === principal.arn),
      { timeout: 40_000, interval: 250 },
    )
    .toBe(true);

/** Gives a task's token back as failed while the task goes on: the workflow has to stop it. */
async function giveUp(workflow: Workflow, job: TaskPurpose): Promise<Ended> {
  let taskToken = '';
  const undo = rehearsal.cloud.intercept((call) => {
    if (call.operation !== 'RunTask') return;
    taskToken = /"(AQC[A-Za-z0-9+/]{509})"/.exec(JSON.stringify(call.input))?.[1] ?? '';
  });
  try {
    return await runWith(workflow, byTask(job), () =>
      rehearsal.clients.sfn.send(new SendTaskFailureCommand({ taskToken, error: 'GivenUp', cause: '{}' })),
    );
  } finally {
    undo();
  }
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
});

afterAll(async () => {
  await rehearsal?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('with policies enforced', () => {
  it('a backup that is refused aborts its uploads', async () => {
    // The first one: later ones have no large table to upload again.
    const isPart = (call: ApiCall) => call.operation === 'UploadPart' && Number(call.input.PartNumber) === 2;
    const { execution } = await runWith('backup-logical', isPart, () => {
      throw new AwsError('InvalidRequest', 'Refused by the test.', 400);
    });
    expect(execution.error).toBe('StorageRefused');
    expect(rehearsal.cloud.calls().some(({ operation }) => operation === 'AbortMultipartUpload')).toBe(true);
  });

  it.each(jobs)('%s succeeds', async (workflow, job) => {
    const { execution } = await runWith(workflow, byTask(job), heartbeat);
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
  });

  it('a backup succeeds that refers to objects of the one before', async () => {
    const { execution } = await run('backup-logical');
    expect([execution.cause, execution.status]).toEqual([undefined, 'SUCCEEDED']);
    expect(rehearsal.cloud.calls().some(({ operation }) => operation === 'PutObjectRetention')).toBe(true);
  });

  it('a backup that meets another object under its key reads it and says so', async () => {
    const isPut = (call: ApiCall) => call.operation === 'PutObject' && byTask('backup')(call);
    const { execution } = await runWith('backup-logical', isPut, async ({ input }) => {
      const { Bucket, Key } = input as { Bucket: string; Key: string };
      await rehearsal.clients.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'of somebody else' }));
    });
    expect(execution.error).toBe('ManifestConflict');
  });

  it.each(jobs)('a task of %s that was given up is stopped', async (workflow, job) => {
    const { execution } = await giveUp(workflow, job);
    expect(execution.status).toBe('FAILED');
    const stopped = () => rehearsal.cloud.ecs.tasks().every((task) => task.lastStatus === 'STOPPED');
    await expect.poll(stopped, { timeout: 30_000 }).toBe(true);
    const stop = rehearsal.cloud.calls().findLast(({ operation }) => operation === 'StopTask');
    expect(stop?.principal.arn).toContain(String(execution.name));
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
  it('is all used, but for what has a reason written here', () => {
    const arns = roles().map(({ arn }) => arn);
    const unused = rehearsal.cloud.unusedPermissions().filter(({ role }) => arns.includes(role));
    const known = unusedHere.flatMap(({ role, actions }) =>
      arns.filter((arn) => role.test(arn)).flatMap((arn) => actions.map((action) => `${arn} ${action}`)),
    );
    const found = unused.map(({ role, action }) => `${role} ${action}`);
    expect(unused.filter(({ role, action }) => !known.includes(`${role} ${action}`))).toEqual([]);
    expect(known.filter((entry) => !found.includes(entry))).toEqual([]);
  });

  it('has no statement without which nothing would be refused', () => {
    const { iam, kms, s3, sns, lambda, usage } = rehearsal.cloud;
    const refusals: string[] = [];
    for (const { arn, statements } of roles()) {
      for (const statement of statements) {
        const actions = unusedHere.filter(({ role }) => role.test(arn)).flatMap((entry) => entry.actions);
        if (statement.actions.every((action) => actions.includes(action))) continue;
        const without = statements.filter((other) => other !== statement);
        const policiesOf = (role: string) => (role === arn ? [{ statements: without }] : iam.policiesOf(role));
        const authority = createAuthority(account, { policiesOf, trustOf: iam.trustOf }, [kms, s3, sns, lambda]);
        const caller = (action: string): Caller => ({
          service: action.split(':')[0] as string,
          region,
          principal: { arn: arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/'), roleArn: arn },
        });
        const refused = usage()
          .filter((use) => use.principal === arn && use.allowedBy.includes(statement.id))
          .flatMap((use) => {
            const decision = authority.decide(caller(use.action), use);
            if (decision.allowed) return [];
            const { service, principal } = caller(use.action);
            const { message } = accessDenied(service, principal, use, decision.reason);
            return message.includes(use.action) && message.includes(use.resource) ? [message] : [];
          });
        expect([statement.id, refused.length > 0]).toEqual([statement.id, true]);
        refusals.push(...refused);
      }
    }
    // The call itself is asked as it was recorded: with all its statements, nothing of this is refused.
    expect(refusals.length).toBeGreaterThan(40);
  });
});
