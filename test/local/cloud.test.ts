import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readAssembly } from '../../local/assembly.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import { AwsError } from '../../local/facade.ts';
import { OTHER_REGION, REGION, synthesizeApp } from './cloud-app.ts';

let folder: string;
let assembly: string;
let cloud: Cloud;
const notes: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cloud-test-'));
  assembly = synthesizeApp(folder);
  cloud = await startCloud({
    assembly,
    directory: join(folder, 'state'),
    containerPath: () => [dirname(process.execPath)],
    verbose: (line) => notes.push(line),
  });
});

afterAll(async () => {
  await cloud?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function runNightly(): Promise<{ status?: string; output: unknown; error?: string }> {
  const { executionArn } = await cloud.scheduler.fire(REGION, 'nightly');
  const sfn = new SFNClient(cloud.client(REGION));
  const ended = await vi.waitFor(
    async () => {
      const execution = await sfn.send(new DescribeExecutionCommand({ executionArn }));
      expect(execution.status).not.toBe('RUNNING');
      return execution;
    },
    { timeout: 60_000, interval: 100 },
  );
  return { status: ended.status, output: ended.output && JSON.parse(ended.output), error: ended.error };
}

describe('a cloud assembly', () => {
  it('gives its assets: an image by its URI, a file by its key', async () => {
    const { stacks, imageFor, fileAsset } = readAssembly(assembly);
    expect(stacks.map(({ id, region }) => [id, region])).toEqual([
      ['Base', REGION],
      ['User', REGION],
      ['Elsewhere', OTHER_REGION],
    ]);
    const template = JSON.stringify(stacks[0]?.template);
    const tag = /container-assets-[^"]*:([\da-f]{64})"/.exec(template)?.[1];
    const image = imageFor(`111122223333.dkr.ecr.${REGION}.amazonaws.com/repository:${tag}`);
    expect(image).toMatchObject({ buildArgs: { FLAVOUR: 'plain' }, dockerfile: 'Dockerfile' });
    expect(image?.context).toContain(assembly);
    const key = /"S3Key":"([\da-f]{64}\.zip)"/.exec(template)?.[1] ?? '';
    expect(fileAsset(key)).toContain(`asset.${key.slice(0, 64)}`);
    expect([imageFor('node:24'), fileAsset('none.zip')]).toEqual([undefined, undefined]);
  });

  it('is deployed into its regions, with outputs and values from other stacks', async () => {
    expect(cloud.regions).toEqual([REGION, OTHER_REGION]);
    const { Parameter } = await new SSMClient(cloud.client(REGION)).send(
      new GetParameterCommand({ Name: '/app/bucket' }),
    );
    await new S3Client(cloud.client(REGION)).send(new HeadBucketCommand({ Bucket: Parameter?.Value }));
    expect(cloud.stackOutputs('User').KeyArn).toMatch(/^arn:aws:kms:eu-north-1:111122223333:key\//);
    const secret = await new SecretsManagerClient(cloud.client(OTHER_REGION)).send(
      new DescribeSecretCommand({ SecretId: 'password' }),
    );
    expect(cloud.stackOutputs('Elsewhere').SecretArn).toBe(secret.ARN);
    expect(() => cloud.stackOutputs('None')).toThrow(/no stack None. There are: Base, User, Elsewhere/);
  });

  it('runs: a schedule starts a workflow of a container, a function and a message', async () => {
    expect(await runNightly()).toEqual({
      status: 'SUCCEEDED',
      output: { greeting: 'hello schedule', region: REGION },
      error: undefined,
    });
    const lines = (group: string) =>
      cloud.logs
        .lines(REGION, group)
        .map(({ message }) => message)
        .join('\n');
    expect(lines('/tasks')).toMatch(/container of arn:aws:iam::111122223333:role\/Base-TaskTaskRole\S* for schedule/);
    await vi.waitFor(() => expect(lines('/aws/lambda/greet')).toContain('told "hello schedule"'), 10_000);
  });

  it('carries every call out as the role that made it, through interceptors', async () => {
    const remove = cloud.intercept(({ action }) => {
      if (action === 'lambda:InvokeFunction') throw new AwsError('AccessDeniedException', 'Refused by the test.', 403);
    });
    expect(await runNightly()).toMatchObject({ status: 'FAILED', error: 'Lambda.AWSLambdaException' });
    remove();
    const roleOf = (action: string) => cloud.calls().findLast((call) => call.action === action)?.principal.roleArn;
    expect(roleOf('states:StartExecution')).toMatch(/role\/Base-SchedulerRole/);
    expect(roleOf('ecs:RunTask')).toMatch(/role\/Base-MachineRole/);
    expect(roleOf('lambda:InvokeFunction')).toMatch(/role\/Base-MachineRole/);
    const runs = cloud.usage().filter(({ action }) => action === 'ecs:RunTask');
    expect(runs).toMatchObject([{ resource: expect.stringContaining('task-definition/worker:1'), count: 2 }]);
  });

  it('had nothing to complain of', () => {
    expect(notes.filter((note) => note.includes('Error'))).toEqual([]);
  });
});

describe('starting', () => {
  it('deploys chosen stacks only', async () => {
    const part = await startCloud({ assembly, directory: join(folder, 'part'), stacks: ['Elsewhere'] });
    expect([part.regions, part.stacks.map(({ name }) => name)]).toEqual([[OTHER_REGION], ['Elsewhere']]);
    await part.close();
    await expect(fetch(part.endpoint)).rejects.toThrow();
  });

  it('fails on an assembly that is not there, and on stacks that are not in it', async () => {
    const directory = join(folder, 'none');
    await expect(startCloud({ assembly: directory, directory })).rejects.toThrow(/manifest\.json.*cdk synth/s);
    await expect(startCloud({ assembly, directory, stacks: ['Nope'] })).rejects.toThrow(/no stack Nope/);
  });
});
