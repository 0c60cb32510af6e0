import { type AssemblyStack, type DockerImage, readAssembly } from './assembly.ts';
import { type DeployedStack, deployAssembly } from './deploy.ts';
import type { ApiCall, Interceptor } from './facade.ts';
import { type ClientConfig, startHost } from './host.ts';
import type { Usage } from './ledger.ts';
import { createServices, type Services } from './services.ts';

export interface CloudOptions {
  /** The folder that `cdk synth` wrote. */
  readonly assembly: string;
  /** Where state is kept: objects, logs, storage of tasks. Created when absent. */
  readonly directory: string;
  /** @default 0: one that is free */
  readonly port?: number;
  /** @default '111122223333' */
  readonly account?: string;
  /** Names, display names or artifact ids of the stacks to deploy. @default all of the assembly */
  readonly stacks?: readonly string[];
  /** Directories put first on the PATH of a container, in place of what its image would hold. */
  readonly containerPath?: (image: Pick<DockerImage, 'buildArgs' | 'context'>) => string[] | Promise<string[]>;
  /** Told of what has no caller to answer: failed deliveries, defects. */
  readonly verbose?: (line: string) => void;
  /** Told of each stack once its resources are made. */
  readonly onStack?: (stack: DeployedStack) => void;
}

/** A cloud assembly that runs: its resources are made, its APIs answer at `endpoint`. */
export interface Cloud extends Services {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  readonly account: string;
  readonly regions: readonly string[];
  readonly directory: string;
  readonly stacks: readonly DeployedStack[];
  /** The environment of a process that talks to this cloud as the administrator, in a region. */
  environment(region: string): Record<string, string>;
  /** The configuration of an SDK client that does. */
  client(region: string): ClientConfig;
  /** Shows every API call to the interceptor before it is carried out; returns what ends that. */
  intercept(interceptor: Interceptor): () => void;
  /** The latest API calls, oldest first. */
  calls(): readonly ApiCall[];
  /** All API calls so far, counted by role, action and resource. */
  usage(): readonly Usage[];
  /** Outputs of a stack, by its name, display name or artifact id. */
  stackOutputs(stack: string): Readonly<Record<string, string>>;
  /** Stops everything that runs. Rejects when something could not be stopped. */
  close(): Promise<void>;
}

/** Starts a cloud and deploys the assembly's stacks into it. Everything is stopped again when that fails. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const assembly = readAssembly(options.assembly);
  const stacks = chosenStacks(assembly.stacks, options.stacks);
  let log: Services['logs']['write'] | undefined;
  const host = await startHost({
    directory: options.directory,
    regions: [...new Set(stacks.map(({ region }) => region))],
    account: options.account,
    port: options.port,
    verbose: options.verbose,
    log: (...line) => log?.(...line),
  });
  try {
    const { world, identity, ledger } = host;
    const services = createServices(host, {
      imageFor: assembly.imageFor,
      fileAsset: assembly.fileAsset,
      containerPath: options.containerPath,
      containerCredentialsPath: identity.containerCredentialsPath,
    });
    log = services.logs.write;
    const deployed = await deployAssembly(assembly, stacks, {
      world,
      facades: host.facades,
      ssmParameter: services.ssm.valueOf,
      onStack: options.onStack,
    });
    return {
      ...services,
      endpoint: world.endpoint,
      account: world.account,
      regions: world.regions,
      directory: world.directory,
      stacks: deployed,
      environment: host.environment,
      client: host.client,
      intercept: host.intercept,
      calls: ledger.calls,
      usage: ledger.usage,
      stackOutputs: (stack) => only(deployed, stack).outputs,
      close: host.close,
    };
  } catch (error) {
    await host.close().catch((failure: unknown) => options.verbose?.(String(failure)));
    throw error;
  }
}

type Named = Pick<AssemblyStack, 'id' | 'name' | 'displayName'>;

const isNamed = (stack: Named, name: string): boolean => [stack.id, stack.name, stack.displayName].includes(name);

function chosenStacks(stacks: readonly AssemblyStack[], names: readonly string[] | undefined): AssemblyStack[] {
  if (names === undefined) return [...stacks];
  for (const name of names) only(stacks, name);
  return stacks.filter((stack) => names.some((name) => isNamed(stack, name)));
}

function only<S extends Named>(stacks: readonly S[], name: string): S {
  const [stack, ...others] = stacks.filter((candidate) => isNamed(candidate, name));
  const known = stacks.map(({ id }) => id).join(', ');
  if (stack === undefined) throw new Error(`There is no stack ${name}. There are: ${known || 'none'}.`);
  if (others.length > 0) throw new Error(`${name} names several stacks: use an artifact id (${known}).`);
  return stack;
}
