import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  AwsError,
  type CallContext,
  type Facade,
  type ResourceContext,
  type ResourceMaker,
  type World,
} from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { carryOutEvent, type EventInvokeConfig } from '../runtime/lambda-events.ts';
import { describeFunction, type LambdaFunction, readFunction } from '../runtime/lambda-function.ts';
import { createPool, type Pool } from '../runtime/lambda-pool.ts';
import { onlyKnown, required } from '../runtime/properties.ts';
import { readBody, sendJson } from '../runtime/rest.ts';
import { measures, type OnMetric } from '../runtime/service-metrics.ts';

export interface LambdaOptions {
  /** The folder of a file asset by its key in the assets' bucket (`<hash>.zip`). */
  readonly fileAsset: (key: string) => string | undefined;
  /** `address:port` of the name server that functions in a VPC ask. @default this machine's own */
  readonly nameServer?: () => Promise<string>;
  /** Told of what functions did. */
  readonly onMetric?: OnMetric;
}

export interface LambdaFacade extends Facade {
  /**
   * Queues an event from another service, as SNS does it: allowed by an AWS::Lambda::Permission rather than by a
   * role. @throws AwsError AccessDeniedException, ResourceNotFoundException
   */
  invokeFromService(
    functionArn: string,
    payload: string,
    from: { servicePrincipal: string; sourceArn: string },
  ): Promise<void>;
  /** Queues an event of CloudFormation, which calls in the name of whoever deploys. */
  invokeAsDeployer(functionArn: string, payload: string): void;
}

interface Entry {
  readonly fn: LambdaFunction;
  readonly pool: Pool;
  /** Version by qualifier: versions and aliases. */
  readonly qualifiers: Map<string, string>;
  /** Statements of its resource policy, one for each AWS::Lambda::Permission. */
  readonly permissions: unknown[];
  config: EventInvokeConfig;
}

/** Bytes of a request: synchronous, asynchronous. */
const MAX_PAYLOAD = { RequestResponse: 6 * 1024 * 1024, Event: 1024 * 1024 } as const;
const LOG_TAIL = 4096;

/** Lambda: functions whose handlers run in Node processes of their own. A version is the same code as $LATEST. */
export function createLambda(world: World, options: LambdaOptions): LambdaFacade {
  const functions = new Map<string, Entry>();
  const events = new Set<Promise<void>>();
  const closing = new AbortController();
  const authorize = authorizer(world, 'lambda');

  const arnOf = (region: string, name: string): string => `arn:aws:lambda:${region}:${world.account}:function:${name}`;

  /** A function by name, ARN or partial ARN, each with a qualifier at will. */
  const locate = (given: string, region: string, qualifier?: string) => {
    const [, name = '', suffix] =
      /^(?:(?:arn:[\w-]+:lambda:[\w-]+:)?\d{12}:function:)?([^:]+)(?::(.+))?$/.exec(given) ?? [];
    const wanted = qualifier ?? suffix;
    const arn = arnOf(/^arn:[\w-]+:lambda:([\w-]+):/.exec(given)?.[1] ?? region, name);
    const entry = functions.get(arn);
    const version = !wanted || wanted === '$LATEST' ? '$LATEST' : entry?.qualifiers.get(wanted);
    return { entry: version ? entry : undefined, version: version ?? '', resource: wanted ? `${arn}:${wanted}` : arn };
  };
  const found = (located: ReturnType<typeof locate>): Entry => {
    if (located.entry) return located.entry;
    throw new AwsError('ResourceNotFoundException', `Function not found: ${located.resource}`, 404);
  };

  const measure = measures(world, 'AWS/Lambda', options.onMetric);
  /** A throttled invocation is none, and no error either. */
  const measured = ({ region, name }: LambdaFunction, pool: Pool): Pool => ({
    ...pool,
    invoke: async (event, requestId) => {
      const started = performance.now();
      try {
        const result = await pool.invoke(event, requestId);
        const Duration = performance.now() - started;
        measure(region, name, { Invocations: 1, Errors: result.failed ? 1 : 0, Throttles: 0, Duration });
        return result;
      } catch (error) {
        if (error instanceof AwsError && error.status === 429) measure(region, name, { Throttles: 1 });
        throw error;
      }
    },
  });

  const queue = ({ fn, pool, config }: Entry, payload: string): string => {
    const requestId = randomUUID();
    const work = carryOutEvent(world, fn, config, payload, requestId, pool.invoke, closing.signal);
    events.add(work);
    void work.finally(() => events.delete(work));
    return requestId;
  };

  const invoke = async (name: string, request: IncomingMessage, response: ServerResponse, context: CallContext) => {
    const url = new URL(request.url ?? '/', 'http://cloud');
    const qualifier = url.searchParams.get('Qualifier') ?? undefined;
    const type = String(request.headers['x-amz-invocation-type'] ?? 'RequestResponse');
    const located = locate(name, context.region, qualifier);
    const body = (
      await readBody(request, MAX_PAYLOAD[type as 'Event'] ?? MAX_PAYLOAD.RequestResponse, 'InvokeFunction')
    ).toString();
    await authorize(context, {
      operation: 'Invoke',
      action: 'InvokeFunction',
      resource: located.resource,
      input: { FunctionName: name, InvocationType: type, ...(qualifier && { Qualifier: qualifier }) },
    });
    const entry = found(located);
    const payload = body === '' ? '{}' : body;
    try {
      JSON.parse(payload);
    } catch (error) {
      throw new AwsError(
        'InvalidRequestContentException',
        `Could not parse request body into json: ${(error as Error).message}`,
      );
    }
    response.setHeader('x-amz-executed-version', located.version);
    if (type === 'DryRun') return void response.writeHead(204).end();
    if (type === 'Event') {
      response.setHeader('x-amzn-requestid', queue(entry, payload));
      return void response.writeHead(202).end();
    }
    if (type !== 'RequestResponse')
      throw new AwsError('InvalidParameterValueException', `Unknown invocation type ${type}`);
    const result = await entry.pool.invoke(payload);
    response.setHeader('x-amzn-requestid', result.requestId);
    response.setHeader('content-type', 'application/json');
    if (result.failed) response.setHeader('x-amz-function-error', 'Unhandled');
    if (request.headers['x-amz-log-type'] === 'Tail') {
      response.setHeader('x-amz-log-result', Buffer.from(result.log).subarray(-LOG_TAIL).toString('base64'));
    }
    response.writeHead(200).end(result.payload);
  };

  const http = async (request: IncomingMessage, response: ServerResponse, context: CallContext): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://cloud');
    const [, encoded, what] = /^\/2015-03-31\/functions(?:\/([^/]*)(?:\/([^/]+))?)?\/?$/.exec(url.pathname) ?? [];
    const name = encoded && decodeURIComponent(encoded);
    const route = `${request.method} ${name ? (what ?? 'function') : url.pathname}`;
    if (name && route === 'POST invocations') return invoke(name, request, response, context);
    if (name && (route === 'GET function' || route === 'GET configuration')) {
      const located = locate(name, context.region, url.searchParams.get('Qualifier') ?? undefined);
      const operation = what ? 'GetFunctionConfiguration' : 'GetFunction';
      await authorize(context, { operation, resource: located.resource, input: { FunctionName: name } });
      const { fn } = found(located);
      const configuration = { ...describeFunction(fn), Version: located.version };
      if (what) return sendJson(response, configuration);
      return sendJson(response, {
        Configuration: configuration,
        Code: { Location: `file://${fn.directory}` },
        Tags: fn.tags,
      });
    }
    if (request.method === 'GET' && /^\/2015-03-31\/functions\/?$/.test(url.pathname)) {
      await authorize(context, { operation: 'ListFunctions', resource: '*' });
      const own = [...functions.values()].filter(({ fn }) => fn.region === context.region);
      const limit = Number(url.searchParams.get('MaxItems') ?? 50);
      const { items, next } = page(own, url.searchParams.get('Marker') ?? undefined, limit);
      return sendJson(response, {
        Functions: items.map(({ fn }) => describeFunction(fn)),
        ...(next && { NextMarker: next }),
      });
    }
    throw new AwsError(
      'UnknownOperationException',
      `lambda has no ${request.method} ${url.pathname} in this cloud.`,
      404,
    );
  };

  const entryOf = (type: string, properties: any, context: ResourceContext): Entry => {
    const name = String(required(type, context, properties, 'FunctionName'));
    const { entry } = locate(name, context.region);
    if (!entry) throw new Error(`${type} ${context.stack}/${context.logicalId}: there is no function ${name}`);
    return entry;
  };

  const resources: Readonly<Record<string, ResourceMaker>> = {
    'AWS::Lambda::Function': (properties, context) => {
      const fn = readFunction(properties, context, world, options.fileAsset);
      if (functions.has(fn.arn)) throw new Error(`AWS::Lambda::Function ${fn.name} exists already in ${fn.region}`);
      world.assertTrusted(fn.roleArn, { service: 'lambda.amazonaws.com', region: fn.region });
      functions.set(fn.arn, {
        fn,
        pool: measured(fn, createPool(world, fn, options.nameServer)),
        qualifiers: new Map(),
        permissions: [],
        config: {},
      });
      return { ref: fn.name, attributes: { Arn: fn.arn } };
    },

    'AWS::Lambda::Permission': (properties, context) => {
      const type = 'AWS::Lambda::Permission';
      onlyKnown(type, context, properties, ['Action', 'FunctionName', 'Principal', 'SourceAccount', 'SourceArn']);
      const { fn, permissions } = entryOf(type, properties, context);
      if (!/^lambda:(InvokeFunction|\*)$/.test(properties.Action)) {
        throw new Error(`${type} ${context.stack}/${context.logicalId}: only lambda:InvokeFunction is supported`);
      }
      permissions.push(statementOf(properties, fn.arn));
      return { ref: context.generatedName };
    },

    'AWS::Lambda::Version': (properties, context) => {
      const type = 'AWS::Lambda::Version';
      onlyKnown(type, context, properties, ['CodeSha256', 'Description', 'FunctionName']);
      const { fn, qualifiers } = entryOf(type, properties, context);
      const version = String([...qualifiers.keys()].filter((key) => /^\d+$/.test(key)).length + 1);
      qualifiers.set(version, version);
      return { ref: `${fn.arn}:${version}`, attributes: { Version: version, FunctionArn: `${fn.arn}:${version}` } };
    },

    'AWS::Lambda::Alias': (properties, context) => {
      const type = 'AWS::Lambda::Alias';
      onlyKnown(type, context, properties, ['Description', 'FunctionName', 'FunctionVersion', 'Name']);
      const { fn, qualifiers } = entryOf(type, properties, context);
      const name = String(required(type, context, properties, 'Name'));
      qualifiers.set(name, String(required(type, context, properties, 'FunctionVersion')));
      return { ref: `${fn.arn}:${name}`, attributes: { AliasArn: `${fn.arn}:${name}` } };
    },

    'AWS::Lambda::EventInvokeConfig': (properties, context) => {
      const type = 'AWS::Lambda::EventInvokeConfig';
      const known = [
        'DestinationConfig',
        'FunctionName',
        'MaximumEventAgeInSeconds',
        'MaximumRetryAttempts',
        'Qualifier',
      ];
      onlyKnown(type, context, properties, known);
      const { OnFailure, OnSuccess } = properties.DestinationConfig ?? {};
      for (const target of [OnFailure, OnSuccess]) {
        if (target && !/^arn:[\w-]+:sqs:/.test(target.Destination)) {
          throw new Error(`${type} ${context.stack}/${context.logicalId}: only SQS queues can be destinations`);
        }
      }
      entryOf(type, properties, context).config = {
        ...(properties.MaximumRetryAttempts !== undefined && {
          maximumRetryAttempts: Number(properties.MaximumRetryAttempts),
        }),
        onFailure: OnFailure?.Destination,
        onSuccess: OnSuccess?.Destination,
      };
      return { ref: context.generatedName };
    },
  };

  return {
    service: 'lambda',
    http,
    resources,
    accessOf: (arn) => {
      const entry = functions.get(arn.split(':').slice(0, 7).join(':'));
      if (!entry) return undefined;
      const { permissions } = entry;
      return { policy: permissions.length > 0 ? { Version: '2012-10-17', Statement: permissions } : undefined };
    },
    invokeFromService: async (functionArn, payload, { servicePrincipal, sourceArn }) => {
      const region = functionArn.split(':')[3] ?? '';
      const located = locate(functionArn, region);
      const principal = { arn: servicePrincipal, service: servicePrincipal };
      const context: CallContext = { region, principal, requestId: randomUUID() };
      const input = { FunctionName: functionArn, InvocationType: 'Event' };
      const conditions = { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': world.account };
      const { resource } = located;
      await authorize(context, { operation: 'Invoke', action: 'InvokeFunction', resource, input, conditions });
      const entry = found(located);
      queue(entry, payload);
    },
    invokeAsDeployer: (functionArn, payload) => {
      queue(found(locate(functionArn, functionArn.split(':')[3] ?? '')), payload);
    },
    close: async () => {
      closing.abort();
      await Promise.all([...functions.values()].map(({ pool }) => pool.close()));
      await Promise.all(events);
    },
  };
}

/** AWS::Lambda::Permission is a statement in other words. */
function statementOf({ Action, Principal, SourceAccount, SourceArn }: any, functionArn: string): unknown {
  const isService = /\.amazonaws\.com$/.test(Principal);
  return {
    Effect: 'Allow',
    Principal: isService ? { Service: Principal } : { AWS: Principal },
    Action,
    Resource: functionArn,
    Condition: {
      ...(SourceAccount && { StringEquals: { 'aws:SourceAccount': SourceAccount } }),
      ...(SourceArn && { ArnLike: { 'aws:SourceArn': SourceArn } }),
    },
  };
}
