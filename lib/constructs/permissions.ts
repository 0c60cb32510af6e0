import { Stack, Validations } from 'aws-cdk-lib';
import { type IPrincipal, Policy, PolicyStatement, Role } from 'aws-cdk-lib/aws-iam';
import { flattenCfnReference } from 'cdk-nag/lib/utils/flatten-cfn-reference.js';
import type { Construct } from 'constructs';

/** Grants are written out, one statement at a time, and every `*` in one comes with its reason. */
export interface Grant {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions?: Record<string, Record<string, string | readonly string[]>>;
  /** Why a wildcard is needed; without it, synthesis refuses one. */
  readonly wildcard?: string;
}

export function makeRole(
  scope: Construct,
  id: string,
  assumedBy: IPrincipal,
  description: string,
  roleName?: string,
): Role {
  return new Role(scope, id, { assumedBy, description, roleName });
}

/** Allows a role what it does, or writes it into a policy that is attached to a role of another stack. */
export function allow(role: Role | Policy, ...grants: readonly Grant[]): void {
  for (const { actions, resources, conditions, wildcard } of grants) {
    const wildcards = resources
      .map((resource) => flattenCfnReference(Stack.of(role).resolve(resource)) as string)
      .filter((resource) => resource.includes('*'));
    if (actions.some((action) => action.includes('*'))) throw new Error(`${role.node.path}: name the actions`);
    if (wildcards.length > 0 && !wildcard) throw new Error(`${role.node.path}: no reason is given for ${wildcards[0]}`);
    for (const resource of wildcards) acknowledge(role, `AwsSolutions-IAM5[Resource::${resource}]`, wildcard as string);
    const statement = new PolicyStatement({ actions: [...actions], resources: [...resources], conditions });
    if (role instanceof Policy) role.addStatements(statement);
    else role.addToPolicy(statement);
  }
}

/** Accepts one finding of cdk-nag for one construct. */
export const acknowledge = (construct: Construct, id: string, reason: string): void =>
  Validations.of(construct).acknowledge({ id, reason });
