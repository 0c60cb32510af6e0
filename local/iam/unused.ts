import type { Usage } from '../ledger.ts';
import { matchesArn, matchesPattern } from './pattern.ts';
import type { Statement } from './policy.ts';

/** One action on one resource that a role was given. */
export interface GrantedPermission {
  readonly role: string;
  /** `<policy's name>[<index>]` */
  readonly statement: string;
  /** As the policy has them, wildcards and all. */
  readonly action: string;
  readonly resource: string;
}

export interface RoleStatements {
  readonly arn: string;
  readonly statements: readonly Statement[];
}

/** What roles are allowed and no call made use of. A statement of exceptions (NotAction) is one permission. */
export function unusedPermissions(roles: readonly RoleStatements[], usage: readonly Usage[]): GrantedPermission[] {
  return roles.flatMap(({ arn: role, statements }) =>
    statements
      .filter(({ effect }) => effect === 'Allow')
      .flatMap((statement) => {
        const uses = usage.filter((use) => use.principal === role && use.allowedBy.includes(statement.id));
        return permissionsOf(statement)
          .filter((permission) => !uses.some((use) => isUse(statement, permission, use)))
          .map((permission) => ({ role, statement: statement.id, ...permission }));
      }),
  );
}

function permissionsOf({ actions, resources, exceptActions, exceptResources }: Statement) {
  const shownActions = exceptActions ? [`all but ${actions.join(', ')}`] : actions;
  const shownResources = exceptResources ? [`all but ${resources.join(', ')}`] : resources;
  return shownActions.flatMap((action) => shownResources.map((resource) => ({ action, resource })));
}

function isUse(
  { exceptActions, exceptResources }: Statement,
  { action, resource }: { action: string; resource: string },
  use: Usage,
): boolean {
  // Variables stand for something that was there, or the call would not have been allowed.
  const pattern = resource.replace(/\$\{[^}]*\}/g, '*');
  const none = () => undefined;
  return (
    (exceptActions || matchesPattern(action, use.action, none, true)) &&
    (exceptResources || matchesArn(pattern, use.resource, none))
  );
}
