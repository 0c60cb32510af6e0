import type { ApiCall, ConditionValues, Permission, Principal } from './facade.ts';
import type { Decision } from './iam/evaluate.ts';

/** How often a principal's role (or the administrator) asked for one action on one resource. */
export interface Usage {
  /** The role's ARN, or the administrator's, or a service's name. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  /** The call's own condition keys. */
  readonly conditions?: ConditionValues;
  readonly count: number;
  /** Ids of the statements of the role's policies that allowed it; none when it was refused. */
  readonly allowedBy: readonly string[];
}

/** The record of API calls, refused ones included, and of the permissions that were asked for. */
export interface Ledger {
  enter(call: ApiCall): void;
  /** A call needs one permission or several. */
  ask(principal: Principal, permission: Permission, decision?: Decision): void;
  /** The latest in full, oldest first. */
  calls(): readonly ApiCall[];
  /** All of them. */
  usage(): readonly Usage[];
}

/** As many calls are kept in full; an upload of 100 GB in parts of 16 MB makes an eighth of that. */
const KEPT_CALLS = 50_000;

export function createLedger(): Ledger {
  let calls: ApiCall[] = [];
  const counts = new Map<string, Usage & { count: number; allowedBy: readonly string[] }>();
  return {
    enter: (call) => {
      calls.push(call);
      if (calls.length > 2 * KEPT_CALLS) calls = calls.slice(-KEPT_CALLS);
    },
    ask: ({ roleArn, arn }, { action, resource, conditions }, decision) => {
      const principal = roleArn ?? arn;
      const key = JSON.stringify([principal, action, resource, conditions]);
      const usage = counts.get(key) ?? { principal, action, resource, conditions, count: 0, allowedBy: [] };
      usage.count += 1;
      if (decision?.allowed) usage.allowedBy = decision.by;
      counts.set(key, usage);
    },
    calls: () => calls.slice(-KEPT_CALLS),
    usage: () => [...counts.values()],
  };
}
