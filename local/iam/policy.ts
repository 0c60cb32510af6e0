import { type Condition, readConditions } from './condition.ts';

/** A policy as it was written in a template. */
export interface PolicyDocument {
  readonly Version?: string;
  readonly Statement: unknown;
}

/** One statement, checked and in lists. */
export interface Statement {
  /** `<policy's name>[<index>]` */
  readonly id: string;
  readonly effect: 'Allow' | 'Deny';
  readonly principals?: Principals;
  readonly actions: readonly string[];
  /** Whether the actions are those that it does not speak of (NotAction). */
  readonly exceptActions: boolean;
  /** Empty in trust policies, which speak of their own role. */
  readonly resources: readonly string[];
  readonly exceptResources: boolean;
  readonly conditions: readonly Condition[];
}

export interface Principals {
  readonly anybody: boolean;
  /** ARNs of roles, sessions and accounts. */
  readonly aws: readonly string[];
  /** `sns.amazonaws.com` */
  readonly services: readonly string[];
}

/** An identity's policy names nobody, a resource's names whom it concerns, a role's trust policy no resource. */
export type PolicyKind = 'identity' | 'resource' | 'trust';

const ELEMENTS: Readonly<Record<PolicyKind, readonly string[]>> = {
  identity: ['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
  resource: ['Sid', 'Effect', 'Principal', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
  trust: ['Sid', 'Effect', 'Principal', 'Action', 'Condition'],
};

/** @throws Error for what AWS would refuse, and for what this cloud does not evaluate */
export function readPolicy(name: string, document: unknown, kind: PolicyKind): Statement[] {
  const { Version, Statement } = (document ?? {}) as PolicyDocument;
  if (Statement === undefined) throw new Error(`the policy ${name} has no Statement`);
  if (Version !== '2012-10-17') throw new Error(`the policy ${name} is of version ${Version}, not 2012-10-17`);
  return list(Statement).map((statement, index) => {
    try {
      return readStatement(`${name}[${index}]`, statement as Record<string, unknown>, kind);
    } catch (error) {
      throw new Error(`statement ${index} of the policy ${name}: ${(error as Error).message}`);
    }
  });
}

function readStatement(id: string, statement: Record<string, unknown>, kind: PolicyKind): Statement {
  const unknown = Object.keys(statement).find((name) => !ELEMENTS[kind].includes(name));
  if (unknown) throw new Error(`${unknown} is no element of ${kind} policies in this cloud`);
  const { Effect, Principal, Action, NotAction, Resource, NotResource, Condition } = statement;
  if (Effect !== 'Allow' && Effect !== 'Deny') throw new Error(`Effect is ${Effect}`);
  const actions = texts('Action', Action ?? NotAction);
  const malformed = actions.find((action) => !/^(\*|[\w-]+:[\w*?]+)$/.test(action));
  if (malformed) throw new Error(`${malformed} is no action`);
  const resources = kind === 'trust' ? [] : texts('Resource', Resource ?? NotResource);
  const noArn = resources.find((resource) => resource !== '*' && !/^arn:([^:]*|\$\{[^}]*\}):.+/.test(resource));
  if (noArn) throw new Error(`${noArn} is no ARN`);
  if ((Action === undefined) === (NotAction === undefined)) throw new Error('either Action or NotAction is needed');
  return {
    id,
    effect: Effect,
    principals: kind === 'identity' ? undefined : readPrincipals(Principal),
    actions,
    exceptActions: NotAction !== undefined,
    resources,
    exceptResources: NotResource !== undefined,
    conditions: readConditions(Condition),
  };
}

function readPrincipals(principal: unknown): Principals {
  if (principal === '*') return { anybody: true, aws: [], services: [] };
  if (typeof principal !== 'object' || principal === null) throw new Error('Principal is needed');
  const { AWS, Service, ...others } = principal as Record<string, unknown>;
  const other = Object.keys(others)[0];
  if (other) throw new Error(`principals of the kind ${other} do not exist in this cloud`);
  const aws = AWS === undefined ? [] : texts('Principal.AWS', AWS);
  return {
    anybody: aws.includes('*'),
    aws,
    services: Service === undefined ? [] : texts('Principal.Service', Service),
  };
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);

function texts(name: string, value: unknown): string[] {
  const found = list(value);
  if (found.length === 0 || !found.every((text) => typeof text === 'string'))
    throw new Error(`${name} must be one or more strings`);
  return found as string[];
}
