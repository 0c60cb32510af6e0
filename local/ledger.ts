import type { ApiCall } from './facade.ts';

/** How often a principal's role (or the administrator) took one action on one resource. */
export interface Usage {
  /** The role's ARN, or the administrator's. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly count: number;
}

/** The record of API calls, refused ones included: the latest in full, all of them counted. */
export interface Ledger {
  enter(call: ApiCall): void;
  /** Oldest first. */
  calls(): readonly ApiCall[];
  usage(): readonly Usage[];
}

/** As many calls are kept in full; an upload of 100 GB in parts of 16 MB makes an eighth of that. */
const KEPT_CALLS = 50_000;

export function createLedger(): Ledger {
  let calls: ApiCall[] = [];
  const counts = new Map<string, { principal: string; action: string; resource: string; count: number }>();
  return {
    enter: (call) => {
      calls.push(call);
      if (calls.length > 2 * KEPT_CALLS) calls = calls.slice(-KEPT_CALLS);
      const principal = call.principal.roleArn ?? call.principal.arn;
      const key = JSON.stringify([principal, call.action, call.resource]);
      const usage = counts.get(key);
      if (usage) usage.count += 1;
      else counts.set(key, { principal, action: call.action, resource: call.resource, count: 1 });
    },
    calls: () => calls.slice(-KEPT_CALLS),
    usage: () => [...counts.values()],
  };
}
