import { Accounts } from './accounts.ts';
import { type AssemblyStack, type DockerImage, readAssembly } from './assembly.ts';
import { type DeployedStack, deployAssembly } from './deploy.ts';
import type { ApiCall, Interceptor, World } from './facade.ts';
import { type ClientConfig, startHost } from './host.ts';
import { createAuthority } from './iam/authority.ts';
import { type GrantedPermission, unusedPermissions } from './iam/unused.ts';
import type { CredentialTerms } from './identity.ts';
import type { Usage } from './ledger.ts';
import { type RegionState, ROUTE53_CONTROL_PLANE } from './outages.ts';
import type { ImageRoot } from './runtime/image-root.ts';
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
  /** Shared by the clouds of several accounts, each of which enters itself. @default this one alone */
  readonly accounts?: Accounts;
  /** Names, display names or artifact ids of the stacks to deploy. @default all of the assembly */
  readonly stacks?: readonly string[];
  /** Directories put first on the PATH of a container, in place of what its image would hold. */
  readonly containerPath?: (image: Pick<DockerImage, 'buildArgs' | 'context'>) => string[] | Promise<string[]>;
  /** The root of an image that was built (readImageRoot): containers run inside of it. Takes root, on Linux. */
  readonly imageRoot?: (image: Pick<DockerImage, 'buildArgs' | 'context'>) => ImageRoot | undefined;
  /** Whether calls are held against the policies of roles and resources. @default true */
  readonly enforcePermissions?: boolean;
  /** Told of what has no caller to answer: failed deliveries, defects. */
  readonly verbose?: (line: string) => void;
  /** How many times faster than the machine's the cloud's clock runs. @default 1 */
  readonly clockRate?: number;
  /** Port of the name server that answers for Route 53's zones, over UDP and TCP. @default 0: one that is free */
  readonly dnsPort?: number;
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
  /** All permissions asked for so far, counted by role, action and resource, with the statements that allowed them. */
  usage(): readonly Usage[];
  /** What the templates allow their roles and no call has made use of so far. */
  unusedPermissions(): readonly GrantedPermission[];
  /** Milliseconds since the epoch on the cloud's clock. */
  now(): number;
  /** Moves the cloud's clock forward; what comes due on the way (schedules, alarms, waits) is called in order. */
  advance(ms: number): Promise<void>;
  /**
   * Takes a region down, cuts it off from everything outside it, or brings it back.
   *
   * @param place a region's code, or `route53-control-plane`
   */
  outage(place: string, state: RegionState): void;
  /** From now on tasks get credentials of their roles on these terms. */
  setCredentialTerms(terms: CredentialTerms): void;
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
  const accounts = options.accounts ?? new Accounts();
  const host = await startHost({
    directory: options.directory,
    regions: [...new Set(stacks.map(({ region }) => region))],
    account: options.account,
    accounts,
    port: options.port,
    verbose: options.verbose,
    clock: { rate: options.clockRate },
    log: (...line) => log?.(...line),
  });
  try {
    const { world, identity, ledger } = host;
    const services = createServices(host, {
      imageFor: assembly.imageFor,
      fileAsset: assembly.fileAsset,
      containerPath: options.containerPath,
      imageRoot: options.imageRoot,
      dnsPort: options.dnsPort,
      accounts,
      containerCredentialsPath: identity.containerCredentialsPath,
    });
    log = services.logs.write;
    if (accounts.has(world.account)) throw new Error(`There is a cloud of account ${world.account} already.`);
    accounts.set(world.account, { world, identity, ledger, roles: services.iam, bucketOf: services.s3.bucketOf });
    const roles = {
      trustOf: services.iam.trustOf,
      policiesOf: (arn: string) => accounts.get(arn.split(':')[4] ?? '')?.roles.policiesOf(arn),
    };
    if (options.enforcePermissions !== false) host.enforce(createAuthority(world.account, roles, host.facades));
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
      unusedPermissions: () => {
        // What a role of this account did in another one was recorded there.
        const everywhere = [...accounts.values()].flatMap((member) => member.ledger.usage());
        return unusedPermissions(services.iam.statements(), everywhere);
      },
      now: world.now,
      advance: world.clock.advance,
      outage: (place, state) => setOutage(world, place, state),
      setCredentialTerms: identity.setTerms,
      stackOutputs: (stack) => only(deployed, stack).outputs,
      close: () => {
        accounts.delete(world.account);
        return host.close();
      },
    };
  } catch (error) {
    await host.close().catch((failure: unknown) => options.verbose?.(String(failure)));
    throw error;
  }
}

function setOutage(world: World, place: string, state: RegionState): void {
  // Route 53's own region need not be one that stacks are in.
  const places = [...world.regions, 'us-east-1', ROUTE53_CONTROL_PLANE];
  if (!places.includes(place)) throw new Error(`There is no ${place} here. There are: ${places.join(', ')}.`);
  world.outages.set(place, state);
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
