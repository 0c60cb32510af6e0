import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ResourceContext } from '../../local/facade.ts';
import { createCloudWatch } from '../../local/facades/cloudwatch.ts';
import { createLambda, type LambdaFacade } from '../../local/facades/lambda.ts';
import { createLogs, type LogsFacade } from '../../local/facades/logs.ts';
import { type Host, startHost } from '../../local/host.ts';
import { createAuthority } from '../../local/iam/authority.ts';
import { readPolicy } from '../../local/iam/policy.ts';
import { sendSigned } from '../../local/runtime/signed-request.ts';

const region = 'eu-central-1';
// Below this checkout, whose package.json says "module": as bundles in cdk.out lie below an application's.
mkdirSync(new URL('../../.pgdr', import.meta.url), { recursive: true });
const root = mkdtempSync(join(new URL('../../.pgdr', import.meta.url).pathname, 'lambda-test-'));
const state = mkdtempSync(join(tmpdir(), 'lambda-state-'));
const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Fn', generatedName: 'made-up', assembly: root };
const roleArn = 'arn:aws:iam::111122223333:role/function';
let host: Host;
let lambda: LambdaFacade;
let logs: LogsFacade;

/** Makes a function of one file and gives its name. */
function make(name: string, code: string, rest: Record<string, unknown> = {}, file = 'index.js'): string {
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, name, file), code);
  lambda.resources?.['AWS::Lambda::Function']?.(
    {
      FunctionName: name,
      Code: { S3Bucket: 'assets', S3Key: `${name}.zip` },
      Handler: 'index.handler',
      Runtime: 'nodejs24.x',
      Role: roleArn,
      Timeout: 20,
      ...rest,
    },
    about,
  );
  return name;
}

async function invoke(name: string, event: unknown, headers: Record<string, string> = {}) {
  const response = await sendSigned(host.world, host.identity.administrator, {
    service: 'lambda',
    region,
    path: `/2015-03-31/functions/${encodeURIComponent(name)}/invocations`,
    headers,
    body: typeof event === 'string' ? event : JSON.stringify(event),
  });
  const text = await response.text();
  return {
    response,
    payload: text ? JSON.parse(text) : undefined,
    failed: response.headers.get('x-amz-function-error'),
  };
}

const permit = (name: string, SourceArn: string) =>
  lambda.resources?.['AWS::Lambda::Permission']?.(
    { Action: 'lambda:InvokeFunction', FunctionName: name, Principal: 'sns.amazonaws.com', SourceArn },
    about,
  );

const trust = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};
const logging = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'logs:*', Resource: '*' }],
};

const lines = (name: string) => logs.lines(region, `/aws/lambda/${name}`).map(({ message }) => message);

beforeAll(async () => {
  let write: LogsFacade['write'] = () => {};
  host = await startHost({ directory: state, regions: [region], log: (...line) => write(...line) });
  logs = host.add(createLogs(host.world));
  write = logs.write;
  host.add(createCloudWatch(host.world));
  lambda = host.add(createLambda(host.world, { fileAsset: (key) => join(root, key.replace(/\.zip$/, '')) }));
});

afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true, force: true });
  rmSync(state, { recursive: true, force: true });
});

describe('a function', () => {
  it('answers, with its own environment, and stays warm', async () => {
    process.env.LEAK = 'must not be seen';
    const code = `let count = 0;
      exports.handler = async (event, context) => {
        console.log('hello', event.name);
        process.stderr.write('to stderr\\n');
        return { count: ++count, event, pid: process.pid, cwd: process.cwd(), leak: process.env.LEAK ?? null, own: process.env.OWN,
          endpoint: process.env.AWS_ENDPOINT_URL, id: context.awsRequestId, left: context.getRemainingTimeInMillis(), arn: context.invokedFunctionArn };
      };`;
    make('warm', code, { Environment: { Variables: { OWN: 'yes' } } });
    const first = await invoke('warm', { name: 'you' }, { 'x-amz-log-type': 'Tail' });
    const second = await invoke(`arn:aws:lambda:${region}:111122223333:function:warm`, {});
    delete process.env.LEAK;
    expect(first.failed).toBeNull();
    expect(first.payload).toMatchObject({
      count: 1,
      event: { name: 'you' },
      leak: null,
      own: 'yes',
      cwd: join(root, 'warm'),
    });
    expect(first.payload).toMatchObject({
      endpoint: host.world.endpoint,
      id: first.response.headers.get('x-amzn-requestid'),
    });
    expect(first.payload.left).toBeGreaterThan(15_000);
    expect(first.response.headers.get('x-amz-executed-version')).toBe('$LATEST');
    expect(second.payload).toMatchObject({ count: 2, pid: first.payload.pid });
    const tail = Buffer.from(first.response.headers.get('x-amz-log-result') ?? '', 'base64').toString();
    expect(tail).toMatch(/^START RequestId: [\s\S]*\tINFO\thello you\n[\s\S]*REPORT RequestId: /);
    expect(lines('warm')).toContain('to stderr');
    expect(lines('warm').join('\n')).toMatch(new RegExp(`${first.payload.id}\tINFO\thello you`));
  });

  it('acts as its role, by the SDK that the runtime brings', async () => {
    const code = `import { SFNClient } from '@aws-sdk/client-sfn';
      import { CloudWatchClient, ListMetricsCommand } from '@aws-sdk/client-cloudwatch';
      export const handler = async () => {
        const { Metrics } = await new CloudWatchClient({}).send(new ListMetricsCommand({}));
        return { Metrics, client: typeof SFNClient };
      };`;
    make('sdk', code, {}, 'index.mjs');
    expect((await invoke('sdk', {})).payload).toEqual({ Metrics: [], client: 'function' });
    const call = host.ledger.calls().findLast(({ operation }) => operation === 'ListMetrics');
    expect(call?.principal).toMatchObject({ arn: 'arn:aws:sts::111122223333:assumed-role/function/sdk', roleArn });
  });

  it('finds nothing that lies above its bundle', async () => {
    make('leaky', `const { z } = require('zod'); exports.handler = async () => typeof z;`);
    const { payload, failed } = await invoke('leaky', {});
    expect(failed).toBe('Unhandled');
    expect(payload).toMatchObject({
      errorType: 'Runtime.ImportModuleError',
      errorMessage: expect.stringMatching(/Cannot find package 'zod'/),
    });
  });

  it('tells errors by name', async () => {
    const code = `class NoBackupError extends Error { constructor(m) { super(m); this.name = 'NoBackupError'; } }
      exports.handler = async (event) => {
        if (event === 'named') throw new NoBackupError('there is none');
        if (event === 'text') throw 'only text';
        if (event === 'exit') process.exit(7);
        if (event === 'later') { setTimeout(() => { throw new TypeError('late') }, 1); await new Promise(() => {}); }
        if (event === 'cycle') { const a = {}; a.a = a; return a; }
      };`;
    make('errors', code);
    const failure = async (event: string) => {
      const { payload, failed } = await invoke('errors', JSON.stringify(event));
      return { failed, ...payload };
    };
    const named = await failure('named');
    expect(named).toMatchObject({ failed: 'Unhandled', errorType: 'NoBackupError', errorMessage: 'there is none' });
    expect(named.trace[0]).toBe('NoBackupError: there is none');
    expect(await failure('text')).toMatchObject({ errorType: 'string', errorMessage: 'only text' });
    expect(await failure('exit')).toMatchObject({
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringMatching(/exit status 7$/),
    });
    expect(await failure('later')).toMatchObject({ errorType: 'Runtime.UncaughtException', errorMessage: 'late' });
    expect(await failure('cycle')).toMatchObject({ errorType: 'Runtime.MarshalError' });
    expect((await invoke('errors', '"fine"')).payload).toBeNull();
  });

  it('says what is wrong with its handler', async () => {
    make('no-member', 'exports.other = 1;');
    make('no-file', '', { Handler: 'main.handler' });
    make('syntax', 'exports.handler = async () => {');
    make('throws', 'throw new RangeError("at load")');
    const type = async (name: string) => (await invoke(name, {})).payload.errorType;
    expect(await type('no-member')).toBe('Runtime.HandlerNotFound');
    expect(await type('no-file')).toBe('Runtime.ImportModuleError');
    expect(await type('syntax')).toBe('Runtime.UserCodeSyntaxError');
    expect(await type('throws')).toBe('RangeError');
  });

  it('times out, and goes on with a new process', async () => {
    make(
      'slow',
      'exports.handler = async (event) => event.hang ? new Promise(() => setInterval(() => {}, 1000)) : process.pid;',
      { Timeout: 1 },
    );
    const before = (await invoke('slow', {})).payload;
    const { payload, failed } = await invoke('slow', { hang: true });
    expect(failed).toBe('Unhandled');
    expect(payload).toMatchObject({
      errorType: 'Sandbox.Timedout',
      errorMessage: expect.stringMatching(/Task timed out after 1.00 seconds$/),
    });
    expect((await invoke('slow', {})).payload).not.toBe(before);
  });

  it('runs one event at a time in each process, and no more processes than it reserves', async () => {
    const code =
      'let busy = 0; exports.handler = async () => { if (busy++) throw new Error("shared"); await new Promise((r) => setTimeout(r, 300)); busy--; return process.pid; };';
    make('parallel', code);
    const pids = await Promise.all([1, 2, 3].map(async () => (await invoke('parallel', {})).payload));
    expect(new Set(pids).size).toBe(3);
    make('single', code, { ReservedConcurrentExecutions: 1 });
    const outcomes = await Promise.allSettled([invoke('single', {}), invoke('single', {})]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'TooManyRequestsException', status: 429 },
    });
  });

  it('writes JSON lines when its log format is JSON', async () => {
    const code = 'exports.handler = async () => { console.warn("careful"); console.info({ a: 1 }); };';
    make('json', code, { LoggingConfig: { LogFormat: 'JSON', LogGroup: '/own' } });
    await invoke('json', {});
    await expect.poll(() => logs.lines(region, '/own').length).toBe(2);
    const [warning, object] = logs.lines(region, '/own').map(({ message }) => JSON.parse(message));
    expect(warning).toMatchObject({ level: 'WARN', message: 'careful' });
    expect(object).toMatchObject({ level: 'INFO', message: { a: 1 } });
  });
});

describe('Invoke', () => {
  it('refuses as Lambda does', async () => {
    make('plain', 'exports.handler = async () => 1;');
    await expect(invoke('nobody', {})).rejects.toMatchObject({ code: 'ResourceNotFoundException', status: 404 });
    await expect(invoke('plain', '{broken')).rejects.toMatchObject({
      code: 'InvalidRequestContentException',
      status: 400,
    });
    await expect(invoke('plain', JSON.stringify('x'.repeat(6 * 1024 * 1024)))).rejects.toMatchObject({
      code: 'RequestTooLargeException',
      status: 413,
    });
    const call = host.ledger.calls().findLast(({ operation }) => operation === 'Invoke');
    expect(call).toMatchObject({
      action: 'lambda:InvokeFunction',
      resource: `arn:aws:lambda:${region}:111122223333:function:plain`,
    });
  });

  it('answers with qualifiers', async () => {
    make('versioned', 'exports.handler = async () => "v";');
    const version = lambda.resources?.['AWS::Lambda::Version']?.({ FunctionName: 'versioned' }, about);
    lambda.resources?.['AWS::Lambda::Alias']?.(
      { FunctionName: 'versioned', FunctionVersion: '1', Name: 'live' },
      about,
    );
    expect(version).toMatchObject({ ref: `arn:aws:lambda:${region}:111122223333:function:versioned:1` });
    expect((await invoke('versioned:live', {})).response.headers.get('x-amz-executed-version')).toBe('1');
    await expect(invoke('versioned:7', {})).rejects.toMatchObject({ code: 'ResourceNotFoundException' });
  });

  it('tries asynchronous events three times', async () => {
    make(
      'flaky',
      'let n = 0; exports.handler = async () => { console.log("attempt", ++n); if (n < 3) throw new Error("not yet"); };',
    );
    expect((await invoke('flaky', {}, { 'x-amz-invocation-type': 'Event' })).response.status).toBe(202);
    await expect
      .poll(() => lines('flaky').filter((line) => line.includes('attempt')).length, { timeout: 10_000 })
      .toBe(3);
  });

  it('takes events of services that a permission names', async () => {
    const roles = { policiesOf: () => [{ statements: readPolicy('logs', logging, 'identity') }], trustOf: () => trust };
    host.enforce(createAuthority('111122223333', roles, host.facades));
    make('told', 'exports.handler = async (event) => { console.log("told", event.text); };');
    const topic = `arn:aws:sns:${region}:111122223333:news`;
    const from = { servicePrincipal: 'sns.amazonaws.com', sourceArn: topic };
    const arn = `arn:aws:lambda:${region}:111122223333:function:told`;
    const refused = { code: 'AccessDeniedException', message: expect.stringContaining('resource-based policy') };
    await expect(lambda.invokeFromService(arn, '{"text":"x"}', from)).rejects.toMatchObject(refused);
    permit('told', `${topic}-other`);
    await expect(lambda.invokeFromService(arn, '{"text":"x"}', from)).rejects.toMatchObject(refused);
    permit('told', topic);
    await lambda.invokeFromService(arn, '{"text":"x"}', from);
    await expect.poll(() => lines('told').join(), { timeout: 5000 }).toMatch(/told x/);
  });

  it('lists and shows functions', async () => {
    make('shown', 'exports.handler = async () => 1;', { MemorySize: 256 });
    const get = async (path: string) =>
      (
        await sendSigned(host.world, host.identity.administrator, { service: 'lambda', region, method: 'GET', path })
      ).json();
    expect(await get('/2015-03-31/functions/shown')).toMatchObject({
      Configuration: { FunctionName: 'shown', MemorySize: 256, Role: roleArn },
    });
    const { Functions } = (await get('/2015-03-31/functions?MaxItems=100')) as {
      Functions: { FunctionName: string }[];
    };
    expect(Functions.map(({ FunctionName }) => FunctionName)).toContain('shown');
  });
});

describe('AWS::Lambda::Function', () => {
  it('refuses what it does not know', () => {
    expect(() => make('bad', '', { Layers: ['x'] })).toThrow(/property Layers: bundle the code/);
    expect(() => make('bad', '', { Code: { ZipFile: 'x' } })).toThrow(/ZipFile: inline code/);
    expect(() => make('bad', '', { Runtime: 'python3.13' })).toThrow(/only Node.js/);
    expect(() => make('bad', '', { Environment: { Variables: { AWS_REGION: 'x' } } })).toThrow(/reserved/);
  });
});
