import { createHash, randomUUID } from 'node:crypto';
import { type Assembly, type AssemblyStack, inDependencyOrder } from './assembly.ts';
import type { Facade, MadeResource, ResourceMaker, World } from './facade.ts';
import { NO_VALUE, resolve, resolveCondition, type Scope } from './intrinsics.ts';
import {
  checkTemplate,
  creationOrder,
  kindOf,
  PSEUDO_PARAMETERS,
  problemsError,
  type TemplateParameter,
} from './template.ts';

/** A stack whose resources have been made. */
export interface DeployedStack {
  readonly id: string;
  readonly name: string;
  readonly displayName: string;
  readonly region: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** By logical id. */
  readonly resources: Readonly<Record<string, { readonly type: string; readonly made: MadeResource }>>;
}

export interface Deployment {
  readonly world: World;
  readonly facades: readonly Facade[];
  /** The value of an SSM parameter, for template parameters of type AWS::SSM::Parameter::Value. */
  readonly ssmParameter: (region: string, name: string) => string | undefined;
  /** Told of each stack once its resources are made. */
  readonly onStack?: (stack: DeployedStack) => void;
}

/** Newer than any version that CDK's rule asks for: there is nothing to bootstrap here. */
const BOOTSTRAP_VERSION = '999';

/** Makes the resources of all stacks. Nothing is made when a template holds anything unknown. */
export async function deployAssembly(
  assembly: Assembly,
  stacks: readonly AssemblyStack[],
  deployment: Deployment,
): Promise<DeployedStack[]> {
  const makers = collectMakers(deployment.facades);
  const known = new Set(makers.keys());
  const problems = stacks.flatMap((stack) => checkTemplate(stack.name, stack.template, known));
  if (problems.length > 0) throw problemsError(problems);
  for (const stack of stacks) {
    if (stack.account !== undefined && stack.account !== deployment.world.account)
      throw new Error(
        `The stack ${stack.name} is for account ${stack.account}; this cloud is account ${deployment.world.account}.`,
      );
  }
  const exports = new Map<string, string>();
  const deployed: DeployedStack[] = [];
  for (const stack of inDependencyOrder(stacks)) {
    const done = await deployStack(stack, assembly, makers, exports, deployed, deployment);
    deployed.push(done);
    deployment.onStack?.(done);
  }
  return deployed;
}

function collectMakers(facades: readonly Facade[]): Map<string, ResourceMaker> {
  const makers = new Map<string, ResourceMaker>();
  for (const facade of facades) {
    for (const [type, maker] of Object.entries(facade.resources ?? {})) {
      if (makers.has(type)) throw new Error(`Two facades make ${type}.`);
      makers.set(type, maker);
    }
  }
  return makers;
}

async function deployStack(
  stack: AssemblyStack,
  assembly: Assembly,
  makers: ReadonlyMap<string, ResourceMaker>,
  exports: Map<string, string>,
  others: readonly DeployedStack[],
  deployment: Deployment,
): Promise<DeployedStack> {
  const { template } = stack;
  const made = new Map<string, MadeResource>();
  const scope = createScope(stack, made, exports, others, deployment);
  const resources: Record<string, { type: string; made: MadeResource }> = {};

  for (const logicalId of creationOrder(template, scope.condition)) {
    const { Type: type, Properties } = template.Resources?.[logicalId] ?? { Type: '' };
    await within(`${stack.name}/${logicalId} (${type})`, async () => {
      const maker = makers.get(kindOf(type));
      if (maker === undefined) throw new Error('no facade makes this type');
      const properties = resolve(Properties ?? {}, scope);
      const result = await maker(properties, {
        region: stack.region,
        stack: stack.name,
        logicalId,
        generatedName: generatedName(stack, logicalId, deployment.world.account),
        assembly: assembly.directory,
      });
      made.set(logicalId, result);
      resources[logicalId] = { type, made: result };
    });
  }

  const outputs: Record<string, string> = {};
  for (const [name, output] of Object.entries(template.Outputs ?? {})) {
    if (output.Condition !== undefined && !scope.condition(output.Condition)) continue;
    await within(`${stack.name}/${name} (output)`, () => {
      const value = String(resolve(output.Value, scope));
      outputs[name] = value;
      if (output.Export === undefined) return;
      const exportName = `${stack.region} ${resolve(output.Export.Name, scope)}`;
      if (exports.has(exportName)) throw new Error(`two stacks export ${exportName}`);
      exports.set(exportName, value);
    });
  }
  return { id: stack.id, name: stack.name, displayName: stack.displayName, region: stack.region, outputs, resources };
}

async function within(where: string, action: () => void | Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw new Error(`${where}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

function createScope(
  stack: AssemblyStack,
  made: ReadonlyMap<string, MadeResource>,
  exports: ReadonlyMap<string, string>,
  others: readonly DeployedStack[],
  { world, ssmParameter }: Deployment,
): Scope {
  const { template, region } = stack;
  const pseudo: Record<string, unknown> = {
    'AWS::AccountId': world.account,
    'AWS::Region': region,
    'AWS::Partition': 'aws',
    'AWS::URLSuffix': 'amazonaws.com',
    'AWS::StackName': stack.name,
    'AWS::StackId': `arn:aws:cloudformation:${region}:${world.account}:stack/${stack.name}/${randomUUID()}`,
    'AWS::NoValue': NO_VALUE,
  };
  const resourceOf = (logicalId: string): MadeResource => {
    const resource = made.get(logicalId);
    if (resource === undefined) throw new Error(`${logicalId} does not exist: its condition does not hold`);
    return resource;
  };
  const conditions = new Map<string, boolean>();
  const scope: Scope = {
    region,
    ref: (name) => {
      if (PSEUDO_PARAMETERS.has(name)) return pseudo[name];
      const parameter = template.Parameters?.[name];
      if (parameter === undefined) return resourceOf(name).ref;
      return parameterValue(name, parameter, stack.parameters[name], (path) => ssmParameter(region, path));
    },
    getAtt: (logicalId, attribute) => {
      const { attributes = {} } = resourceOf(logicalId);
      const type = template.Resources?.[logicalId]?.Type;
      if (!Object.hasOwn(attributes, attribute))
        throw new Error(`Fn::GetAtt: ${logicalId} (${type}) has no attribute ${attribute} in this cloud`);
      return attributes[attribute];
    },
    mapping: (map, topKey, secondKey) => {
      const value = template.Mappings?.[map]?.[topKey]?.[secondKey];
      if (value === undefined) throw new Error(`Fn::FindInMap: no ${map}.${topKey}.${secondKey}`);
      return value;
    },
    condition: (name) => {
      const known = conditions.get(name);
      if (known !== undefined) return known;
      if (!Object.hasOwn(template.Conditions ?? {}, name)) throw new Error(`unknown condition ${name}`);
      const holds = resolveCondition(template.Conditions?.[name], scope);
      conditions.set(name, holds);
      return holds;
    },
    importValue: (name) => {
      const value = exports.get(`${region} ${name}`);
      if (value === undefined) throw new Error(`Fn::ImportValue: no stack in ${region} exports ${name}`);
      return value;
    },
    stackOutput: (where, name, output) => {
      const value = others.find((other) => other.region === where && other.name === name)?.outputs[output];
      if (value === undefined) throw new Error(`Fn::GetStackOutput: no stack ${name} in ${where} puts out ${output}`);
      return value;
    },
  };
  return scope;
}

function parameterValue(
  name: string,
  parameter: TemplateParameter,
  given: string | undefined,
  ssmParameter: (path: string) => string | undefined,
): unknown {
  const value = given ?? parameter.Default;
  if (value === undefined) throw new Error(`the parameter ${name} has neither a value nor a default`);
  const text = String(value);
  if (parameter.AllowedValues && !parameter.AllowedValues.map(String).includes(text))
    throw new Error(`the parameter ${name} may not be ${JSON.stringify(text)}`);
  if (parameter.AllowedPattern && !new RegExp(`^(?:${parameter.AllowedPattern})$`).test(text))
    throw new Error(`the parameter ${name} does not match ${parameter.AllowedPattern}: ${JSON.stringify(text)}`);
  switch (parameter.Type) {
    case 'String':
    case 'Number':
      return text;
    case 'CommaDelimitedList':
    case 'List<Number>':
    case 'List<String>':
      return text.split(',').map((item) => item.trim());
    case 'AWS::SSM::Parameter::Value<String>':
    case 'AWS::SSM::Parameter::Value<List<String>>': {
      if (/^\/cdk-bootstrap\/.*\/version$/.test(text)) return BOOTSTRAP_VERSION;
      const held = ssmParameter(text);
      if (held === undefined) throw new Error(`the parameter ${name} names the SSM parameter ${text}: there is none`);
      return parameter.Type.includes('<List<') ? held.split(',') : held;
    }
    default:
      throw new Error(`the parameter ${name} is of the unknown type ${parameter.Type}`);
  }
}

/** Always the same for the same resource, so that state kept in a directory is found again at the next start. */
function generatedName(stack: AssemblyStack, logicalId: string, account: string): string {
  const digest = createHash('sha256').update([account, stack.region, stack.name, logicalId].join(' ')).digest('hex');
  return `${stack.name}-${logicalId}-${digest.slice(0, 12).toUpperCase()}`;
}
