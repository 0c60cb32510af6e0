import { checkInput, checkName, nextPage, pageSize, requireArn } from '../asl/api-checks.ts';
import type { ChildStart } from '../asl/children.ts';
import { payloadLimit, StatesError } from '../asl/errors.ts';
import { logEvent, withoutData } from '../asl/event-log.ts';
import { describeExecution, isRedriven, requireRedrivable, statusOf, summaryOf } from '../asl/execution-views.ts';
import { type Execution, executionArn, startExecution } from '../asl/executions.ts';
import type { HistoryEvent } from '../asl/history.ts';
import { assertTrusted, checkRole, traceExecution } from '../asl/role-checks.ts';
import { type Registered, register } from '../asl/state-machines.ts';
import { createTokens, TokenError } from '../asl/tokens.ts';
import type { Json } from '../asl/types.ts';
import { AwsError, type CallContext, type Facade, type Operation, type World } from '../facade.ts';
import { assumedRoleArn } from '../identity.ts';
import { authorizer } from '../runtime/api.ts';
import { measures, type OnMetric } from '../runtime/service-metrics.ts';

export type EventListener = (executionArn: string, machineName: string, event: HistoryEvent) => void;

export interface States extends Facade {
  /** Calls the listener for every history event of every execution; returns what stops that. */
  onEvent(listener: EventListener): () => void;
  /** Resolves when the execution ended; rejects where there is none of that ARN. */
  ended(executionArn: string): Promise<Execution>;
}

/** Step Functions: standard workflows in JSONata, run by local/asl. Executions are kept in memory. */
export function createStates(world: World, options: { readonly onMetric?: OnMetric } = {}): States {
  const authorize = authorizer(world, 'states');
  const measure = measures(world, 'AWS/States', options.onMetric);
  const machines = new Map<string, Registered>();
  const executions = new Map<string, Execution>();
  const listeners = new Set<EventListener>();
  const tokens = createTokens();

  const findMachine = (arn: string): Registered => {
    const machine = machines.get(arn);
    if (!machine) throw new AwsError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
    return machine;
  };
  const findExecution = (arn: string): Execution => {
    const execution = executions.get(arn);
    if (!execution) throw new AwsError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
    return execution;
  };

  const onEvent = (execution: Execution, event: HistoryEvent): void => {
    try {
      logEvent(world, execution, event);
      for (const listener of listeners) listener(execution.arn, execution.machine.name, event);
    } catch (error) {
      world.note(`An event of ${execution.arn} could not be passed on: ${(error as Error).stack}`);
    }
  };

  const begin = (
    options: Pick<Parameters<typeof startExecution>[0], 'machine' | 'name' | 'input' | 'startedBy' | 'mapRunArn'>,
  ): Execution => {
    const execution = startExecution({ ...options, world, tokens, onEvent, startChild });
    executions.set(execution.arn, execution);
    if (options.mapRunArn === undefined) measureExecution(execution);
    return execution;
  };

  /** From its start, or a redrive, to the end of that attempt. */
  const measureExecution = (execution: Execution): void => {
    const { machine, ended } = execution;
    const began = world.now();
    measure(machine.region, machine.arn, { ExecutionsStarted: 1 });
    void ended.then(({ status }) =>
      measure(machine.region, machine.arn, { [endMetrics[status]]: 1, ExecutionTime: world.now() - began }),
    );
  };

  /** A child of a distributed Map: started by its machine's role, which must be allowed to. */
  const startChild = (parent: Execution, { block, input, label, mapRunArn }: ChildStart): Execution => {
    const { machine, name } = parent;
    const { roleArn, region } = machine;
    const startedBy = { arn: assumedRoleArn(roleArn, name), roleArn, region };
    const refused = world.refusal(
      { service: 'states', region, principal: startedBy },
      { action: 'states:StartExecution', resource: machine.arn },
    );
    if (refused) throw new StatesError('States.Permissions', refused.message);
    const child = { ...machine, arn: `${machine.arn}/${label}`, name: `${machine.name}/${label}`, definition: block };
    return begin({ machine: child, name: undefined, input: JSON.stringify(input), startedBy, mapRunArn });
  };

  /** An operation on a state machine or an execution, authorised for its ARN. */
  const on =
    (
      operation: string,
      kind: 'stateMachine' | 'execution',
      carryOut: (input: any, context: CallContext) => unknown,
    ): Operation =>
    async (input, context) => {
      const arn = requireArn(input[`${kind}Arn`], kind, context.region);
      await authorize(context, { operation, resource: arn, input: withoutBodies(input) });
      return carryOut(input, context);
    };

  /** An operation on a task's token, authorised for the state machine that waits for it. */
  const onToken =
    (operation: string, carryOut: (input: any) => void): Operation =>
    async (input, context) => {
      const resource = tokens.owner(input.taskToken) ?? '*';
      await authorize(context, { operation, resource, input: withoutBodies(input) });
      try {
        carryOut(input);
      } catch (error) {
        throw error instanceof TokenError ? new AwsError(error.code, error.message) : error;
      }
      return {};
    };

  const start = (input: any, context: CallContext) => {
    const machine = findMachine(input.stateMachineArn);
    const text = checkInput(input.input);
    const name: string | undefined = input.name;
    if (name !== undefined) {
      checkName(name);
      const earlier = executions.get(executionArn(machine.arn, name));
      if (earlier && earlier.outcome === undefined && earlier.input === text) return started(earlier);
      if (earlier) throw new AwsError('ExecutionAlreadyExists', `Execution Already Exists: '${earlier.arn}'`);
    }
    assertTrusted(world, machine);
    traceExecution(world, machine);
    return started(begin({ machine, name, input: text, startedBy: context.principal }));
  };

  const listExecutions = ({ stateMachineArn, mapRunArn, statusFilter, redriveFilter, ...page }: any) => {
    const machine = mapRunArn === undefined ? findMachine(stateMachineArn) : undefined;
    const matching = [...executions.values()]
      .filter((execution) => (machine ? execution.machine.arn === machine.arn : execution.mapRunArn === mapRunArn))
      .filter((execution) => statusFilter === undefined || statusOf(execution) === statusFilter)
      .filter((execution) => redriveFilter === undefined || isRedriven(execution) === (redriveFilter === 'REDRIVEN'))
      .reverse();
    const { items, token } = nextPage(matching, page.nextToken, pageSize(page.maxResults, 100));
    return { executions: items.map(summaryOf), ...(token && { nextToken: token }) };
  };

  /** By execution and client token: when that was redriven. */
  const redrives = new Map<string, number>();

  const redrive = ({ executionArn: arn, clientToken }: any) => {
    const execution = findExecution(arn);
    const key = `${arn} ${clientToken}`;
    const earlier = clientToken === undefined ? undefined : redrives.get(key);
    if (earlier !== undefined) return { redriveDate: new Date(earlier) };
    requireRedrivable(execution, world.now());
    assertTrusted(world, execution.machine);
    execution.redrive();
    measureExecution(execution);
    const redriven = execution.redriven ?? world.now();
    redrives.set(key, redriven);
    return { redriveDate: new Date(redriven) };
  };

  const history = (input: any) => {
    const { events } = findExecution(input.executionArn);
    const ordered = input.reverseOrder ? [...events].reverse() : events;
    const { items, token } = nextPage(ordered, input.nextToken, pageSize(input.maxResults, 100));
    const shown = input.includeExecutionData === false ? items.map(withoutData) : items;
    return { events: shown, ...(token && { nextToken: token }) };
  };

  const stop = async (input: any) => {
    const execution = findExecution(input.executionArn);
    execution.abort(input.error, input.cause);
    await execution.ended;
    return { stopDate: new Date(execution.stopped ?? world.now()) };
  };

  return {
    service: 'states',
    operations: {
      StartExecution: on('StartExecution', 'stateMachine', start),
      StopExecution: on('StopExecution', 'execution', stop),
      RedriveExecution: on('RedriveExecution', 'execution', redrive),
      DescribeExecution: on('DescribeExecution', 'execution', ({ executionArn: arn }) =>
        describeExecution(findExecution(arn), world.now()),
      ),
      ListExecutions: async (input, context) => {
        const { mapRunArn } = input;
        if (mapRunArn === undefined) return on('ListExecutions', 'stateMachine', listExecutions)(input, context);
        await authorize(context, { operation: 'ListExecutions', resource: mapRunArn, input });
        return listExecutions(input);
      },
      GetExecutionHistory: on('GetExecutionHistory', 'execution', history),
      DescribeStateMachine: on('DescribeStateMachine', 'stateMachine', (input) => {
        const machine = findMachine(input.stateMachineArn);
        return {
          ...definitionOf(machine),
          status: 'ACTIVE',
          type: 'STANDARD',
          creationDate: new Date(machine.created),
        };
      }),
      DescribeStateMachineForExecution: on('DescribeStateMachineForExecution', 'execution', (input) => {
        const { machine } = findExecution(input.executionArn);
        return { ...definitionOf(machine), updateDate: new Date(machine.created) };
      }),
      ListStateMachines: async (input, context) => {
        await authorize(context, { operation: 'ListStateMachines', resource: '*', input });
        const here = [...machines.values()].filter(({ region }) => region === context.region);
        const { items, token } = nextPage(here, input.nextToken, pageSize(input.maxResults, 100));
        const stateMachines = items.map(({ arn, name, created }) => ({
          stateMachineArn: arn,
          name,
          type: 'STANDARD',
          creationDate: new Date(created),
        }));
        return { stateMachines, ...(token && { nextToken: token }) };
      },
      SendTaskSuccess: onToken('SendTaskSuccess', ({ taskToken, output }) =>
        tokens.succeed(taskToken, parseOutput(output)),
      ),
      SendTaskFailure: onToken('SendTaskFailure', ({ taskToken, error, cause }) =>
        tokens.fail(taskToken, error, cause),
      ),
      SendTaskHeartbeat: onToken('SendTaskHeartbeat', ({ taskToken }) => tokens.heartbeat(taskToken)),
    },
    resources: {
      'AWS::StepFunctions::StateMachine': (properties, context) => {
        const machine = register(properties, context, world.account, world.now());
        if (machines.has(machine.arn)) throw new Error(`There is a state machine ${machine.arn} already`);
        checkRole(world, machine);
        machines.set(machine.arn, machine);
        return { ref: machine.arn, attributes: { Arn: machine.arn, Name: machine.name } };
      },
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ended: async (arn) => {
      const execution = findExecution(arn);
      await execution.ended;
      return execution;
    },
    close: async () => {
      const running = [...executions.values()].filter(({ outcome }) => outcome === undefined);
      for (const execution of running) execution.abort();
      await Promise.all(running.map(({ ended }) => ended));
    },
  };
}

const endMetrics = {
  SUCCEEDED: 'ExecutionsSucceeded',
  FAILED: 'ExecutionsFailed',
  TIMED_OUT: 'ExecutionsTimedOut',
  ABORTED: 'ExecutionsAborted',
} as const;

/** What is recorded of a call: its parameters without the payloads. */
const withoutBodies = ({ input: _input, output: _output, ...parameters }: Record<string, unknown>) => parameters;

const started = ({ arn, started }: Execution) => ({ executionArn: arn, startDate: new Date(started) });

const definitionOf = (machine: Registered) => ({
  stateMachineArn: machine.arn,
  name: machine.name,
  definition: machine.text,
  roleArn: machine.roleArn,
  loggingConfiguration: {
    level: machine.logging.level,
    includeExecutionData: machine.logging.includeExecutionData,
    ...(machine.logging.group && {
      destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: machine.logging.group } }],
    }),
  },
  tracingConfiguration: { enabled: machine.tracing },
});

function parseOutput(output: unknown): Json {
  try {
    if (typeof output !== 'string') throw new Error('it is missing');
    if (Buffer.byteLength(output) > payloadLimit) throw new Error(`it is longer than ${payloadLimit} bytes`);
    return JSON.parse(output);
  } catch (error) {
    throw new AwsError('InvalidOutput', `Invalid Output: '${(error as Error).message}'`);
  }
}
