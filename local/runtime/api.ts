import type { CallContext, ConditionValues, Permission, World } from '../facade.ts';

/** IAM's prefix of an action where it is not the SigV4 signing name. */
const IAM_PREFIX: Readonly<Record<string, string>> = { monitoring: 'cloudwatch' };

export interface Authorisation {
  readonly operation: string;
  readonly resource: string;
  /** IAM's action where it is not the operation's name: lambda's Invoke is `InvokeFunction`. */
  readonly action?: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly conditions?: ConditionValues;
  /** What the call takes besides its own action: the use of a key, a role that is passed on. */
  readonly also?: readonly Permission[];
}

/** `world.authorize` with what every call of one service has in common. */
export function authorizer(world: World, service: string) {
  return (context: CallContext, call: Authorisation): Promise<void> => {
    const own: Permission = {
      action: `${IAM_PREFIX[service] ?? service}:${call.action ?? call.operation}`,
      resource: call.resource,
      ...(call.conditions && { conditions: call.conditions }),
    };
    return world.authorize({
      ...own,
      service,
      region: context.region,
      operation: call.operation,
      principal: context.principal,
      input: call.input ?? {},
      ...(call.also && { needs: [own, ...call.also] }),
    });
  };
}

/** A timestamp of any wire protocol (Date, epoch seconds, ISO string) in milliseconds since the epoch. */
export function epochMilliseconds(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (value instanceof Date) return value.getTime();
  const text = String(value);
  return /^-?[\d.]+(e\d+)?$/i.test(text) ? Math.round(Number(text) * 1000) : Date.parse(text);
}

/** One page of a list: `token` is the index to go on from. */
export function page<T>(items: readonly T[], token: string | undefined, limit: number): { items: T[]; next?: string } {
  const start = token ? Number(token) || 0 : 0;
  const end = start + limit;
  return { items: items.slice(start, end), ...(end < items.length && { next: String(end) }) };
}

/** The fields of an ARN that facades ask for. */
export function parseArn(arn: string): { service: string; region: string; account: string; resource: string } {
  const [, , service = '', region = '', account = '', ...resource] = arn.split(':');
  return { service, region, account, resource: resource.join(':') };
}
