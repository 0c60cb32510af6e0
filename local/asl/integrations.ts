import { interruptible } from './clock.ts';
import { StatesError } from './errors.ts';
import type { Integrate, TaskCall } from './frame.ts';
import { awaitExecution, awaitTask, ecs, refuseFailures, stepFunctions } from './integrations/jobs.ts';
import { invoke } from './integrations/lambda.ts';
import { type Caller, createClients, type Dialect } from './integrations/sdk.ts';
import { parseResource, sdkServices, type TaskResource } from './resources.ts';
import type { Tokens } from './tokens.ts';
import type { Json } from './types.ts';

/**
 * Carries out tasks by calling the services themselves, as the state machine's role. Results are those of AWS without
 * SdkHttpMetadata and SdkResponseMetadata, which optimised integrations add there.
 */
export interface Integrations {
  readonly integrate: Integrate;
  /** Settles when nothing is under way any more: the end of an execution still stops its jobs. */
  close(): Promise<void>;
}

const sns: Dialect = { prefix: 'SNS', unmodelled: 'AmazonSNSException', service: 'AmazonSNS', optimised: true };
const dynamoDb: Dialect = {
  prefix: 'DynamoDB',
  unmodelled: 'AmazonDynamoDBException',
  service: 'AmazonDynamoDBv2',
  optimised: true,
};

const optimised: Readonly<Record<string, { readonly client: string; readonly dialect: Dialect }>> = {
  ecs: { client: 'ecs', dialect: ecs },
  sns: { client: 'sns', dialect: sns },
  states: { client: 'sfn', dialect: stepFunctions },
  dynamodb: { client: 'dynamodb', dialect: dynamoDb },
};

/** @param owner the state machine that owns the tokens that are opened, and its execution */
export function createIntegrations(
  caller: Caller,
  tokens: Tokens,
  { machineArn, executionArn }: { readonly machineArn: string; readonly executionArn: string },
): Integrations {
  const clients = createClients(caller);

  const submit = (task: TaskCall, resource: TaskResource, parameters: Json): Promise<Json> => {
    const { service, action, isSdk } = resource;
    if (isSdk) return clients.call(sdkClient(service), action, parameters, sdkDialect(service), task.signal);
    if (service === 'lambda') return invoke(caller, parameters, task.signal);
    const { client, dialect } = optimised[service] as (typeof optimised)[string];
    // What a job has started has to be known, even when it is called off meanwhile: it is stopped then.
    const signal = resource.pattern === 'response' ? task.signal : undefined;
    return clients.call(client, action, parameters, dialect, signal);
  };

  const underWay = new Set<Promise<Json>>();

  const carryOut = async (task: TaskCall): Promise<Json> => {
    const resource = parseResource(task.resource);
    const isJob = resource.pattern === 'sync' || resource.pattern === 'sync:2';
    const parameters = isJob && resource.service === 'ecs' ? startedByUs(task.arguments) : task.arguments;
    // Opened before the call: the worker may answer before the call does.
    const answered =
      task.token === undefined ? undefined : tokens.open(task.token, machineArn, task.heartbeat, task.signal);
    const answer = await submit(task, resource, parameters);
    if (resource.pattern === 'response') return answer;
    if (resource.service === 'ecs' && !resource.isSdk) refuseFailures(answer);
    task.submitted(answer);
    if (answered) return interruptible(answered, task.signal);
    if (resource.service === 'ecs') {
      const { Cluster } = parameters as { [key: string]: Json };
      return awaitTask(clients, Cluster, answer, { executionArn, signal: task.signal });
    }
    if (resource.service === 'states') {
      return awaitExecution(clients, answer, resource.pattern === 'sync:2', { executionArn, signal: task.signal });
    }
    throw new StatesError('States.Runtime', `${task.resource} is not a job.`);
  };

  const integrate = (task: TaskCall): Promise<Json> => {
    const work = carryOut(task);
    underWay.add(work);
    work.catch(() => {}).finally(() => underWay.delete(work));
    return work;
  };

  const close = async () => {
    await Promise.allSettled(underWay);
    clients.close();
  };

  return { integrate, close };
}

/** As Step Functions marks the tasks whose end it waits for. */
const startedByUs = (parameters: Json): Json =>
  typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters)
    ? { StartedBy: 'AWS Step Functions', ...parameters }
    : parameters;

const sdkClient = (service: string): string => (sdkServices[service] as (typeof sdkServices)[string]).client;

function sdkDialect(service: string): Dialect {
  const { prefix } = sdkServices[service] as (typeof sdkServices)[string];
  return { prefix, unmodelled: `${prefix}Exception`, service: prefix, optimised: false };
}
