import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Facade, MadeResource, ResourceContext, World } from '../facade.ts';

export interface CloudFormationOptions {
  /** Invokes a function as an event, in the name of whoever deploys. */
  readonly invoke: (functionArn: string, payload: string) => void;
}

/** Functions that never answer end a deployment after this, unless the resource has a ServiceTimeout. */
const longestMs = 60_000;

/**
 * Resources that functions make: `AWS::CloudFormation::CustomResource`, and every `Custom::…`. The function is told to
 * create, and answers by a PUT to an address of its own.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
 */
export function createCloudFormation(world: World, { invoke }: CloudFormationOptions): Facade {
  return {
    service: 'cloudformation',
    resources: {
      'AWS::CloudFormation::CustomResource': async (properties, context) => {
        const { ServiceToken, ServiceTimeout } = properties;
        if (!/^arn:aws:lambda:/.test(ServiceToken ?? '')) throw new Error('ServiceToken is no function');
        const limit = ServiceTimeout === undefined ? longestMs : Number(ServiceTimeout) * 1000;
        return await answered(limit, (ResponseURL) =>
          invoke(ServiceToken, JSON.stringify(creation(world, properties, context, ResponseURL))),
        );
      },
    },
  };
}

function creation(world: World, properties: unknown, context: ResourceContext, ResponseURL: string) {
  const { region, stack, logicalId } = context;
  return {
    RequestType: 'Create',
    RequestId: randomUUID(),
    ResponseURL,
    StackId: `arn:aws:cloudformation:${region}:${world.account}:stack/${stack}/${randomUUID()}`,
    LogicalResourceId: logicalId,
    ResourceType: 'AWS::CloudFormation::CustomResource',
    ServiceToken: (properties as { ServiceToken: string }).ServiceToken,
    ResourceProperties: asText(properties),
  };
}

/** CloudFormation makes text of every number and boolean on the way. */
function asText(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asText);
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, asText(inner)]));
}

/** Listens at an address that is told to `ask` until something is put there. */
async function answered(limitMs: number, ask: (url: string) => void): Promise<MadeResource> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      response.end();
      resolve(text);
    });
  });
  const timer = setTimeout(() => reject(new Error(`its function has not answered for ${limitMs / 1000} s`)), limitMs);
  try {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${randomUUID()}`);
    const { Status, Reason, PhysicalResourceId, Data = {} } = JSON.parse(await promise);
    if (Status !== 'SUCCESS') throw new Error(`its function answers ${Status}: ${Reason}`);
    if (!PhysicalResourceId) throw new Error('its function answers without a PhysicalResourceId');
    return { ref: PhysicalResourceId, attributes: Data };
  } finally {
    clearTimeout(timer);
    server.close();
    server.closeAllConnections();
  }
}
