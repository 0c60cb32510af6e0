import { references } from './intrinsics.ts';

/** A CloudFormation template, as far as its shape is trusted before it is checked. */
export interface Template {
  readonly Parameters?: Readonly<Record<string, TemplateParameter>>;
  readonly Mappings?: Readonly<Record<string, Record<string, Record<string, unknown>>>>;
  readonly Conditions?: Readonly<Record<string, unknown>>;
  readonly Resources?: Readonly<Record<string, TemplateResource>>;
  readonly Outputs?: Readonly<Record<string, TemplateOutput>>;
}

export interface TemplateParameter {
  readonly Type: string;
  readonly Default?: unknown;
  readonly AllowedValues?: readonly unknown[];
  readonly AllowedPattern?: string;
}

export interface TemplateResource {
  readonly Type: string;
  readonly Properties?: unknown;
  readonly DependsOn?: string | readonly string[];
  readonly Condition?: string;
}

export interface TemplateOutput {
  readonly Value: unknown;
  readonly Condition?: string;
  readonly Export?: { readonly Name: unknown };
}

const SECTIONS = new Set([
  'AWSTemplateFormatVersion',
  'Description',
  'Metadata',
  'Parameters',
  'Mappings',
  'Conditions',
  'Resources',
  'Outputs',
  // Rules check parameters that a person typed; here every parameter has the value that the assembly gives it, and
  // the one rule that CDK writes asks for a bootstrap version, which the local cloud answers with a constant.
  'Rules',
]);

const RESOURCE_ATTRIBUTES = new Set([
  'Type',
  'Properties',
  'DependsOn',
  'Condition',
  'Metadata',
  // What happens on deletion and replacement never comes up: stacks are made once and vanish as a whole.
  'DeletionPolicy',
  'UpdateReplacePolicy',
  'UpdatePolicy',
]);

const PARAMETER_ATTRIBUTES = new Set(['Type', 'Default', 'Description', 'AllowedValues', 'AllowedPattern', 'NoEcho']);
const OUTPUT_ATTRIBUTES = new Set(['Value', 'Description', 'Condition', 'Export']);

export const PSEUDO_PARAMETERS: ReadonlySet<string> = new Set(
  ['AccountId', 'Region', 'Partition', 'URLSuffix', 'StackName', 'StackId', 'NoValue'].map((name) => `AWS::${name}`),
);

export interface Problem {
  readonly stack: string;
  /** The logical id, or the section. */
  readonly where: string;
  readonly what: string;
}

/** Types of the author's own are all made in one way. */
export const kindOf = (type: string): string =>
  type.startsWith('Custom::') ? 'AWS::CloudFormation::CustomResource' : type;

/** Everything in a template that would not be carried out as AWS does; empty when all of it is known. */
export function checkTemplate(stack: string, template: Template, knownTypes: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  const report = (where: string, what: string): void => void problems.push({ stack, where, what });
  const expectOnly = (where: string, value: object, known: ReadonlySet<string>, kind: string): void => {
    for (const name of Object.keys(value)) if (!known.has(name)) report(where, `unknown ${kind} ${name}`);
  };

  expectOnly('template', template, SECTIONS, 'section');
  const resources = template.Resources ?? {};
  const nameable = new Set([
    ...Object.keys(resources),
    ...Object.keys(template.Parameters ?? {}),
    ...PSEUDO_PARAMETERS,
  ]);
  const checkValue = (where: string, value: unknown): void => {
    for (const name of references(value, (problem) => report(where, problem)))
      if (!nameable.has(name)) report(where, `refers to ${name}, which the template does not have`);
  };
  const checkCondition = (where: string, condition: string | undefined): void => {
    if (condition !== undefined && !Object.hasOwn(template.Conditions ?? {}, condition))
      report(where, `unknown condition ${condition}`);
  };

  for (const [name, parameter] of Object.entries(template.Parameters ?? {}))
    expectOnly(name, parameter, PARAMETER_ATTRIBUTES, 'parameter attribute');
  for (const [name, condition] of Object.entries(template.Conditions ?? {})) checkValue(name, condition);
  for (const [logicalId, resource] of Object.entries(resources)) {
    if (!knownTypes.has(kindOf(resource.Type))) report(logicalId, `unknown resource type ${resource.Type}`);
    expectOnly(logicalId, resource, RESOURCE_ATTRIBUTES, 'resource attribute');
    checkValue(logicalId, resource.Properties);
    checkCondition(logicalId, resource.Condition);
    for (const dependency of dependsOn(resource))
      if (!Object.hasOwn(resources, dependency)) report(logicalId, `depends on ${dependency}, which does not exist`);
  }
  for (const [name, output] of Object.entries(template.Outputs ?? {})) {
    expectOnly(name, output, OUTPUT_ATTRIBUTES, 'output attribute');
    checkValue(name, output);
    checkCondition(name, output.Condition);
  }
  return problems;
}

/** Puts all problems of all stacks into one Error, grouped by what is wrong. */
export function problemsError(problems: readonly Problem[]): Error {
  const byWhat = Map.groupBy(problems, (problem) => problem.what);
  const lines = [...byWhat].map(([what, all]) => {
    const places = all.map(({ stack, where }) => `${stack}/${where}`);
    const shown = places.slice(0, 5).join(', ') + (places.length > 5 ? ` and ${places.length - 5} more` : '');
    return `  ${what}: ${shown}`;
  });
  return new Error(
    `The local cloud cannot deploy this assembly as AWS would:\n${lines.join('\n')}\n` +
      'Give local/facades a maker for the type, or leave the resource out.',
  );
}

/** The logical ids of resources that hold, each after those that it refers to. @throws Error naming a circle */
export function creationOrder(template: Template, holds: (condition: string) => boolean): string[] {
  const resources = template.Resources ?? {};
  const exists = (logicalId: string): boolean => {
    const resource = resources[logicalId];
    return resource !== undefined && (resource.Condition === undefined || holds(resource.Condition));
  };
  const order = new Set<string>();
  const path: string[] = [];
  const visit = (logicalId: string): void => {
    if (order.has(logicalId)) return;
    if (path.includes(logicalId))
      throw new Error(`Resources refer to one another in a circle: ${[...path, logicalId].join(' → ')}.`);
    const resource = resources[logicalId];
    if (resource === undefined) return;
    path.push(logicalId);
    for (const name of [...references(resource.Properties, () => {}), ...dependsOn(resource)])
      if (exists(name)) visit(name);
    path.pop();
    order.add(logicalId);
  };
  for (const logicalId of Object.keys(resources)) if (exists(logicalId)) visit(logicalId);
  return [...order];
}

const dependsOn = (resource: TemplateResource): readonly string[] =>
  typeof resource.DependsOn === 'string' ? [resource.DependsOn] : (resource.DependsOn ?? []);
