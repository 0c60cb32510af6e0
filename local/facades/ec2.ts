import { AwsError, type Facade, type Operation, type World } from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { isTrue } from '../runtime/properties.ts';

/** A machine that the outside world has: no template makes one here, a test does, and says how it starts and stops. */
export interface InstanceOptions {
  readonly region: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** @default '127.0.0.1' */
  readonly privateIpAddress?: string;
  /** Resolves once it runs. */
  start(): Promise<void>;
  /** Resolves once nothing of it runs. @param force as if its power were cut */
  stop(force: boolean): Promise<void>;
}

export interface Ec2Facade extends Facade {
  /** An instance that runs already; gives its id. */
  addInstance(options: InstanceOptions): string;
  state(instanceId: string): InstanceState | undefined;
}

export type InstanceState = keyof typeof CODES;

interface Instance {
  readonly id: string;
  readonly arn: string;
  readonly options: InstanceOptions;
  launchTime: Date;
  state: InstanceState;
  reason: string;
}

const CODES = { pending: 0, running: 16, stopping: 64, stopped: 80 } as const;

/** EC2 as far as somebody's machine is looked at, stopped and started through it. */
export function createEc2(world: World): Ec2Facade {
  const instances = new Map<string, Instance>();
  const authorize = authorizer(world, 'ec2');

  const move = (instance: Instance, state: InstanceState, reason = ''): void => {
    instance.state = state;
    instance.reason = reason && `${reason} (${new Date(world.now()).toISOString().slice(0, 19).replace('T', ' ')} GMT)`;
    if (state === 'pending') instance.launchTime = new Date(world.now());
  };
  /** In the background, as EC2 does it. What fails stays in between for ever, which is where a caller finds it. */
  const carryOut = (instance: Instance, to: InstanceState, work: () => Promise<void>): void => {
    const { reason, state: during } = instance;
    void work().then(
      () => {
        if (instance.state !== during) return;
        instance.state = to;
        instance.reason = reason;
      },
      (error: Error) => world.note(`ec2: ${instance.id} stays ${during}: ${error.message}`),
    );
  };
  const stop = (instance: Instance, force: boolean, reason: string): void => {
    move(instance, 'stopping', reason);
    carryOut(instance, 'stopped', () => instance.options.stop(force));
  };
  // A region that is down has no machines.
  const stopWatching = world.outages.onChange((place, state) => {
    if (state !== 'down') return;
    for (const instance of instances.values())
      if (instance.options.region === place && instance.state !== 'stopped')
        stop(instance, true, 'Server.InternalError');
  });

  const named = (ids: unknown, region: string): Instance[] =>
    ((ids ?? []) as string[]).map((id) => {
      if (!/^i-[0-9a-f]{8,17}$/.test(id))
        throw new AwsError('InvalidInstanceID.Malformed', `Invalid id: ${JSON.stringify(id)}`);
      const found = instances.get(id);
      if (found?.options.region === region) return found;
      throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
    });
  const chosen = (input: any, region: string): Instance[] => {
    const own = [...instances.values()].filter(({ options }) => options.region === region);
    const all = input.InstanceId ? named(input.InstanceId, region) : own;
    return all.filter((instance) => (input.Filter ?? []).every((filter: any) => matches(instance, filter)));
  };

  /** One call, authorised for each instance; then a dry run ends, as EC2 has it, with an error. */
  const onInstances =
    (operation: string, change: (instance: Instance, input: any) => void): Operation =>
    async (input, { region, ...caller }) => {
      const needs = ((input.InstanceId ?? []) as string[]).map((id) => ({
        action: `ec2:${operation}`,
        resource: `arn:aws:ec2:${region}:${world.account}:instance/${id}`,
      }));
      const [first, ...also] = needs;
      if (first === undefined) throw new AwsError('MissingParameter', 'The request must contain InstanceId.');
      await authorize({ region, ...caller }, { operation, resource: first.resource, input, also });
      const found = named(input.InstanceId, region);
      if (isTrue(input.DryRun))
        throw new AwsError('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
      const instancesSet = found.map((instance) => {
        const previousState = shown(instance.state);
        change(instance, input);
        return { instanceId: instance.id, currentState: shown(instance.state), previousState };
      });
      return { instancesSet };
    };

  const operations: Readonly<Record<string, Operation>> = {
    DescribeInstances: async (input, context) => {
      await authorize(context, { operation: 'DescribeInstances', resource: '*', input });
      const { items, next } = page(chosen(input, context.region), input.NextToken, Number(input.MaxResults ?? 1000));
      const reservationSet = items.map((instance) => ({
        reservationId: instance.id.replace('i-', 'r-'),
        ownerId: world.account,
        instancesSet: [describe(instance)],
      }));
      return { reservationSet, nextToken: next };
    },

    DescribeInstanceStatus: async (input, context) => {
      await authorize(context, { operation: 'DescribeInstanceStatus', resource: '*', input });
      const all = chosen(input, context.region).filter(
        ({ state }) => state === 'running' || isTrue(input.IncludeAllInstances),
      );
      const { items, next } = page(all, input.NextToken, Number(input.MaxResults ?? 1000));
      const instanceStatusSet = items.map(({ id, state, options }) => {
        const status = { status: state === 'running' ? 'ok' : 'not-applicable' };
        return {
          instanceId: id,
          availabilityZone: `${options.region}a`,
          instanceState: shown(state),
          instanceStatus: status,
          systemStatus: status,
        };
      });
      return { instanceStatusSet, nextToken: next };
    },

    StopInstances: onInstances('StopInstances', (instance, { Force }) => {
      if (instance.state === 'stopped') return;
      // A second call with Force cuts the power of one that does not go down by itself.
      if (instance.state !== 'stopping' || isTrue(Force)) stop(instance, isTrue(Force), 'User initiated');
    }),

    StartInstances: onInstances('StartInstances', (instance) => {
      if (instance.state === 'stopping')
        throw new AwsError(
          'IncorrectInstanceState',
          `The instance '${instance.id}' is not in a state from which it can be started.`,
        );
      if (instance.state !== 'stopped') return;
      move(instance, 'pending');
      carryOut(instance, 'running', () => instance.options.start());
    }),
  };

  return {
    service: 'ec2',
    xmlNamespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
    operations,
    accessOf: (arn) => {
      const instance = instances.get(arn.split('/').at(-1) ?? '');
      if (instance?.arn !== arn) return undefined;
      const tags = Object.entries(instance.options.tags ?? {});
      return { conditions: Object.fromEntries(tags.map(([key, value]) => [`ec2:ResourceTag/${key}`, value])) };
    },
    addInstance: (options) => {
      const id = `i-${(instances.size + 1).toString(16).padStart(17, '0')}`;
      const arn = `arn:aws:ec2:${options.region}:${world.account}:instance/${id}`;
      instances.set(id, { id, arn, options, launchTime: new Date(world.now()), state: 'running', reason: '' });
      return id;
    },
    state: (id) => instances.get(id)?.state,
    close: async () => stopWatching(),
  };
}

const shown = (name: InstanceState) => ({ code: CODES[name], name });

const describe = ({ id, options, state, reason, launchTime }: Instance) => ({
  instanceId: id,
  instanceState: shown(state),
  reason,
  launchTime,
  placement: { availabilityZone: `${options.region}a`, tenancy: 'default' },
  privateIpAddress: options.privateIpAddress ?? '127.0.0.1',
  tagSet: Object.entries(options.tags ?? {}).map(([key, value]) => ({ key, value })),
});

function matches({ id, options, state }: Instance, { Name, Value }: { Name: string; Value: string[] }): boolean {
  const tag = /^tag:(.+)$/.exec(Name)?.[1];
  const values: Readonly<Record<string, string | undefined>> = {
    'instance-id': id,
    'instance-state-name': state,
    'private-ip-address': options.privateIpAddress ?? '127.0.0.1',
  };
  if (tag === undefined && !Object.hasOwn(values, Name))
    throw new AwsError('InvalidParameterValue', `The filter '${Name}' is invalid`);
  const value = tag === undefined ? values[Name] : options.tags?.[tag];
  return value !== undefined && Value.includes(value);
}
