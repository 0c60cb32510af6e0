import { accountOf } from '../accounts.ts';
import type { Caller, Facade, Permission, ServiceRole } from '../facade.ts';
import type { RequestValues } from './condition.ts';
import { type Decision, evaluate, type Question } from './evaluate.ts';
import { type PolicyDocument, readPolicy, type Statement } from './policy.ts';

/** The roles that may call, as `facades/iam.ts` keeps them. */
export interface Roles {
  policiesOf(roleArn: string): readonly { readonly statements: readonly Statement[] }[] | undefined;
  trustOf(roleArn: string): PolicyDocument | undefined;
}

/** Who decides what may be done: the policies of roles and of resources, asked at every call. */
export interface Authority {
  /** `resource`: the resource's own ARN, where it was asked for by another one. */
  decide(caller: Caller, permission: Permission): Decision & { readonly resource: string };
  /** Whether a service may take a role on. */
  decideTrust(roleArn: string, by: ServiceRole): Decision;
}

export function createAuthority(account: string, roles: Roles, facades: readonly Facade[]): Authority {
  const read = new WeakMap<object, readonly Statement[]>();
  /** Documents were checked when their resources were made. */
  const statementsOf = (document: unknown, kind: 'resource' | 'trust'): readonly Statement[] => {
    if (typeof document !== 'object' || document === null) return [];
    const known = read.get(document) ?? readPolicy('policy', document, kind);
    read.set(document, known);
    return known;
  };

  return {
    decide: (caller, { action, resource, conditions }) => {
      const { principal } = caller;
      const service = action.split(':')[0] as string;
      const access = facades.find((facade) => facade.service === service)?.accessOf?.(resource);
      const question: Question = {
        account,
        principal,
        action,
        resource: access?.arn ?? resource,
        values: valuesOf(account, caller, { ...access?.conditions, ...conditions }),
      };
      const { roleArn } = principal;
      const decision = evaluate(question, {
        identity: roleArn === undefined ? undefined : (roles.policiesOf(roleArn) ?? []).flatMap((p) => p.statements),
        resource: statementsOf(access?.policy, 'resource'),
        resourceDecides: service === 'kms' && access !== undefined,
      });
      return { ...decision, resource: question.resource };
    },
    decideTrust: (roleArn, { service, sourceArn, region }) => {
      const principal = { arn: service, service };
      const conditions = { 'aws:SourceAccount': account, ...(sourceArn && { 'aws:SourceArn': sourceArn }) };
      const values = valuesOf(account, { service: 'sts', region, principal }, conditions);
      const question: Question = { account, principal, action: 'sts:AssumeRole', resource: roleArn, values };
      const resource = statementsOf(roles.trustOf(roleArn), 'trust');
      return evaluate(question, { identity: undefined, resource, resourceDecides: true });
    },
  };
}

/** The global condition keys, and those of the call. */
function valuesOf(
  resourceAccount: string,
  { principal, region }: Caller,
  conditions: Permission['conditions'],
): RequestValues {
  const { arn, roleArn, service } = principal;
  const account = accountOf(principal);
  const values: Readonly<Record<string, string | readonly string[] | undefined>> = {
    'aws:PrincipalAccount': account,
    'aws:PrincipalArn': service === undefined ? (roleArn ?? arn) : undefined,
    'aws:PrincipalIsAWSService': String(service !== undefined),
    'aws:PrincipalServiceName': service,
    'aws:RequestedRegion': region,
    // Clients reach this cloud by plain HTTP over the loopback, which nobody can listen to, in the place of AWS's
    // HTTPS endpoints. Taken for insecure, every policy that insists on TLS would refuse everything.
    'aws:SecureTransport': 'true',
    'aws:ViaAWSService': 'false',
    'aws:ResourceAccount': resourceAccount,
    'kms:CallerAccount': account ?? resourceAccount,
    's3:TlsVersion': '1.3',
    ...conditions,
  };
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  return new Map(present.map(([key, value]) => [key.toLowerCase(), [value as string | readonly string[]].flat()]));
}
