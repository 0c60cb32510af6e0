import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { MadeResource } from '../../local/facade.ts';
import { type Host, startHost } from '../../local/host.ts';
import { createAuthority } from '../../local/iam/authority.ts';
import { createServices, type Services } from '../../local/services.ts';

/** An empty cloud whose policies are enforced, for one test file: roles and resources are made as they are needed. */

export const region = 'eu-north-1';
export const account = '111122223333';
/** Folder of the file's assets and state. */
export const root = mkdtempSync(join(tmpdir(), 'iam-test-'));
export let host: Host;
export let services: Services;
let made = 0;

export const document = (...Statement: object[]) => ({ Version: '2012-10-17', Statement });
export const allow = (Action: string | string[], Resource: string | string[] = '*', rest: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...rest,
});
export const trust = (Service: string, rest: object = {}) =>
  document({ Effect: 'Allow', Principal: { Service }, Action: 'sts:AssumeRole', ...rest });

export async function make(type: string, properties: object, logicalId = `It${++made}`): Promise<MadeResource> {
  const facade = host.facades.find(({ resources }) => resources && type in resources);
  const generatedName = `app-${logicalId}-0123456789AB`.toLowerCase();
  const context = { region, stack: 'app', logicalId, generatedName, assembly: root };
  return (await facade?.resources?.[type]?.(properties, context)) as MadeResource;
}

/** Makes a role with these statements; gives its ARN. */
export async function role(
  statements: object[],
  service = 'ecs-tasks.amazonaws.com',
  conditions: object = {},
): Promise<string> {
  const { attributes } = await make('AWS::IAM::Role', {
    AssumeRolePolicyDocument: trust(service, conditions),
    ...(statements.length > 0 && { Policies: [{ PolicyName: 'own', PolicyDocument: document(...statements) }] }),
  });
  return String(attributes?.Arn);
}

/** The configuration of a client that calls as a new role with these statements. */
export async function as(...statements: object[]) {
  const credentials = host.world.credentialsFor(await role(statements), 'session');
  return { ...host.client(region), credentials: { ...credentials }, maxAttempts: 1 };
}

export const sessionOf = /User: arn:aws:sts::111122223333:assumed-role\/\S+\/session is not authorized to perform: /;

/** The error of a call that a policy refused. */
export async function refusal(call: Promise<unknown>) {
  const error: any = await call.then(
    () => expect.unreachable('it was allowed'),
    (thrown: unknown) => thrown,
  );
  const { name, code = name, message, $metadata, status = $metadata?.httpStatusCode } = error;
  return { code, message, status };
}

beforeAll(async () => {
  host = await startHost({
    directory: join(root, 'state'),
    regions: [region],
    log: (...line) => services.logs.write(...line),
  });
  services = createServices(host, {
    imageFor: () => ({ context: root, buildArgs: {} }),
    fileAsset: (key) => join(root, key.replace(/\.zip$/, '')),
    containerPath: () => [dirname(process.execPath)],
    containerCredentialsPath: host.identity.containerCredentialsPath,
  });
  host.enforce(createAuthority(account, services.iam, host.facades));
});

afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true, force: true });
});
