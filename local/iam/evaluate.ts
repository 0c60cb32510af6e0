import { accountOf } from '../accounts.ts';
import type { Principal } from '../facade.ts';
import { holds, type RequestValues } from './condition.ts';
import { type Lookup, matchesArn, matchesPattern } from './pattern.ts';
import type { Statement } from './policy.ts';

/** What is asked: may this principal take this action on this resource? */
export interface Question {
  /** Which the resource belongs to. */
  readonly account: string;
  readonly principal: Principal;
  readonly action: string;
  readonly resource: string;
  readonly values: RequestValues;
}

export interface Policies {
  /** Those of the principal's role; undefined for who has none: the administrator, and services. */
  readonly identity: readonly Statement[] | undefined;
  /** That of the resource. */
  readonly resource: readonly Statement[];
  /** Whether an identity's policies count only where the resource's policy says so, as a KMS key's does. */
  readonly resourceDecides: boolean;
}

export type Decision =
  /** `by`: the ids of the identity's statements that allow it; none where the resource's policy did. */
  | { readonly allowed: true; readonly by: readonly string[] }
  /** `reason` in AWS's words: `because no identity-based policy allows the s3:PutObject action`. */
  | { readonly allowed: false; readonly reason: string };

/**
 * AWS's evaluation: an explicit Deny ends it; else, within one account, an Allow of the identity's or of the resource's
 * policy suffices, and a principal of another account needs both. A KMS key's own policy has to allow the principal, or its account, whose identities' policies then
 * have to allow it too. The administrator is held back by an explicit Deny alone.
 */
export function evaluate(question: Question, { identity, resource, resourceDecides }: Policies): Decision {
  const { principal, action } = question;
  const applying = resource
    .map((statement) => ({ statement, scope: concerns(statement, question) }))
    .filter(({ statement, scope }) => scope !== undefined && applies(statement, question));
  const own = (identity ?? []).filter((statement) => applies(statement, question));
  if (own.some(({ effect }) => effect === 'Deny')) return denied('with an explicit deny in an identity-based policy');
  if (applying.some(({ statement }) => statement.effect === 'Deny'))
    return denied('with an explicit deny in a resource-based policy');
  const foreign = (accountOf(principal) ?? question.account) !== question.account;
  if (foreign && applying.length === 0) return denied(`because no resource-based policy allows the ${action} action`);
  if (identity === undefined && principal.service === undefined) return { allowed: true, by: [] };

  const by = own.map(({ id }) => id);
  if (foreign && by.length === 0) return denied(`because no identity-based policy allows the ${action} action`);
  if (applying.some(({ scope }) => scope === 'principal')) return { allowed: true, by };
  const delegated = !resourceDecides || applying.some(({ scope }) => scope === 'account');
  if (!delegated || identity === undefined)
    return denied(`because no resource-based policy allows the ${action} action`);
  return by.length > 0 ? { allowed: true, by } : denied(`because no identity-based policy allows the ${action} action`);
}

const denied = (reason: string): Decision => ({ allowed: false, reason });

/** Whether a statement speaks of this action on this resource, under conditions that hold. */
export function applies(statement: Statement, { action, resource, values }: Question): boolean {
  const lookup: Lookup = (key) => values.get(key.toLowerCase())?.[0];
  const { actions, exceptActions, resources, exceptResources, conditions } = statement;
  return (
    actions.some((pattern) => matchesPattern(pattern, action, lookup, true)) !== exceptActions &&
    (resources.length === 0 ||
      resources.some((pattern) => matchesArn(pattern, resource, lookup)) !== exceptResources) &&
    conditions.every((condition) => holds(condition, values))
  );
}

/** Whether a resource's statement names the principal itself, or only the account that it belongs to. */
function concerns({ principals }: Statement, { principal }: Question): 'principal' | 'account' | undefined {
  if (principals === undefined) return undefined;
  if (principals.anybody) return 'principal';
  if (principal.service !== undefined) return principals.services.includes(principal.service) ? 'principal' : undefined;
  const account = accountOf(principal) ?? '';
  const root = `arn:aws:iam::${account}:root`;
  const named = [principal.arn, principal.roleArn].some((arn) => arn !== undefined && principals.aws.includes(arn));
  if (named) return 'principal';
  return principals.aws.includes(root) || principals.aws.includes(account) ? 'account' : undefined;
}
