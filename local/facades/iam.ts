import { createHash } from 'node:crypto';
import { AwsError, type Facade, type ResourceContext, type World } from '../facade.ts';
import { type PolicyDocument, readPolicy, type Statement } from '../iam/policy.ts';
import type { RoleStatements } from '../iam/unused.ts';
import { authorizer } from '../runtime/api.ts';
import { onlyKnown } from '../runtime/properties.ts';
import { AWS_MANAGED_POLICIES } from './iam-managed-policies.ts';

export interface AttachedPolicy {
  readonly name: string;
  readonly document: PolicyDocument;
  readonly statements: readonly Statement[];
}

interface Role {
  readonly name: string;
  readonly arn: string;
  readonly id: string;
  readonly path: string;
  readonly trust: PolicyDocument;
  readonly createdAt: Date;
  readonly maxSessionSeconds: number;
  readonly policies: AttachedPolicy[];
}

/** IAM: roles and what they may do. Users and groups do not exist here; the administrator needs neither. */
export function createIam(world: World): Facade & {
  /** The policies of a role, inline and managed. undefined when there is no such role. */
  policiesOf(roleArn: string): readonly AttachedPolicy[] | undefined;
  /** Who may take the role on. */
  trustOf(roleArn: string): PolicyDocument | undefined;
  /** All roles with all that their policies say. */
  statements(): readonly RoleStatements[];
} {
  const authorize = authorizer(world, 'iam');
  const roles = new Map<string, Role>();
  const managed = new Map<string, AttachedPolicy>();

  const roleByName = (name: string, type: string): Role => {
    const role = roles.get(name);
    if (role === undefined) throw new Error(`${type}: there is no role ${name}`);
    return role;
  };
  const managedPolicy = (arn: string): AttachedPolicy => {
    const policy = managed.get(arn) ?? AWS_MANAGED_POLICIES.get(arn);
    if (policy === undefined) throw new Error(`the managed policy ${arn} is not known to this cloud`);
    return policy;
  };
  const byArn = (arn: string): Role | undefined => [...roles.values()].find((role) => role.arn === arn);

  return {
    service: 'iam',
    xmlNamespace: 'https://iam.amazonaws.com/doc/2010-05-08/',
    policiesOf: (roleArn) => byArn(roleArn)?.policies,
    trustOf: (roleArn) => byArn(roleArn)?.trust,
    statements: () =>
      [...roles.values()].map(({ arn, policies }) => ({
        arn,
        statements: policies.flatMap((policy) => policy.statements),
      })),
    operations: {
      GetRole: async (input, context) => {
        const role = roles.get(input.RoleName);
        const resource = role?.arn ?? `arn:aws:iam::${world.account}:role/${input.RoleName}`;
        await authorize(context, { operation: 'GetRole', resource, input });
        if (role === undefined)
          throw new AwsError('NoSuchEntity', `The role with name ${input.RoleName} cannot be found.`, 404);
        return { Role: describe(role) };
      },
      ListRoles: async (input, context) => {
        await authorize(context, { operation: 'ListRoles', resource: '*', input });
        return { Roles: [...roles.values()].map(describe), IsTruncated: false };
      },
    },
    resources: {
      'AWS::IAM::Role': (properties, context) => {
        onlyKnown('AWS::IAM::Role', context, properties, ROLE_PROPERTIES, {
          PermissionsBoundary: 'boundaries are not evaluated',
        });
        const name: string = properties.RoleName ?? shortName(context);
        if (name.length > 64) throw new Error(`the role name ${name} is longer than 64 characters`);
        if (roles.has(name)) throw new Error(`a role of the name ${name} exists already: names are global`);
        readPolicy(`trust of ${name}`, properties.AssumeRolePolicyDocument, 'trust');
        const path: string = properties.Path ?? '/';
        const arn = `arn:aws:iam::${world.account}:role${path}${name}`;
        const role: Role = {
          name,
          arn,
          id: `AROA${digest(arn)}`,
          path,
          trust: properties.AssumeRolePolicyDocument,
          createdAt: new Date(world.now()),
          maxSessionSeconds: Number(properties.MaxSessionDuration ?? 3600),
          policies: [
            ...inlinePolicies(properties.Policies ?? []),
            ...(properties.ManagedPolicyArns ?? []).map((policy: string) => managedPolicy(policy)),
          ],
        };
        roles.set(name, role);
        return { ref: name, attributes: { Arn: arn, RoleId: role.id } };
      },
      'AWS::IAM::Policy': (properties, context) => {
        refusePrincipals('AWS::IAM::Policy', properties, context, ['PolicyName', 'PolicyDocument', 'Roles']);
        if (!properties.Roles?.length) throw new Error('AWS::IAM::Policy is attached to no role');
        const attached: Role[] = properties.Roles.map((name: string) => roleByName(name, 'AWS::IAM::Policy'));
        const policy = attachable(properties.PolicyName, properties.PolicyDocument);
        for (const role of attached) role.policies.push(policy);
        return { ref: properties.PolicyName, attributes: { Id: digest(context.generatedName) } };
      },
      'AWS::IAM::ManagedPolicy': (properties, context) => {
        const known = ['ManagedPolicyName', 'PolicyDocument', 'Roles', 'Path', 'Description'];
        refusePrincipals('AWS::IAM::ManagedPolicy', properties, context, known);
        const name: string = properties.ManagedPolicyName ?? context.generatedName;
        const arn = `arn:aws:iam::${world.account}:policy${properties.Path ?? '/'}${name}`;
        const policy = attachable(name, properties.PolicyDocument);
        managed.set(arn, policy);
        for (const role of properties.Roles ?? []) roleByName(role, 'AWS::IAM::ManagedPolicy').policies.push(policy);
        return { ref: arn, attributes: { PolicyArn: arn, PolicyId: `ANPA${digest(arn)}` } };
      },
    },
  };
}

const ROLE_PROPERTIES = [
  'AssumeRolePolicyDocument',
  'Description',
  'ManagedPolicyArns',
  'MaxSessionDuration',
  'Path',
  'Policies',
  'RoleName',
  'Tags',
];

function refusePrincipals(type: string, properties: any, context: ResourceContext, known: string[]): void {
  const { Users = [], Groups = [], ...rest } = properties;
  if (Users.length > 0 || Groups.length > 0)
    throw new Error(`${type} ${context.stack}/${context.logicalId}: users and groups do not exist in this cloud`);
  onlyKnown(type, context, rest, known);
}

/** A made-up name that fits the 64 characters of a role's: stack and logical id are cut, as CloudFormation does it. */
function shortName({ stack, logicalId, generatedName }: ResourceContext): string {
  return `${stack.slice(0, 25)}-${logicalId.slice(0, 25)}-${generatedName.slice(-12)}`;
}

const inlinePolicies = (policies: { PolicyName: string; PolicyDocument: PolicyDocument }[]): AttachedPolicy[] =>
  policies.map(({ PolicyName, PolicyDocument }) => attachable(PolicyName, PolicyDocument));

function attachable(name: string, document: PolicyDocument): AttachedPolicy {
  return { name, document, statements: readPolicy(name, document, 'identity') };
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 17).toUpperCase();

const describe = (role: Role): Record<string, unknown> => ({
  Path: role.path,
  RoleName: role.name,
  RoleId: role.id,
  Arn: role.arn,
  CreateDate: role.createdAt,
  AssumeRolePolicyDocument: encodeURIComponent(JSON.stringify(role.trust)),
  MaxSessionDuration: role.maxSessionSeconds,
});
