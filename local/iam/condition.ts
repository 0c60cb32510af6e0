import { type Lookup, matchesArn, matchesPattern } from './pattern.ts';

/** One key of one operator in a statement's Condition. */
export interface Condition {
  /** As it was written: `ForAnyValue:StringEquals`. */
  readonly operator: string;
  readonly base: string;
  readonly set?: 'ForAnyValue' | 'ForAllValues';
  readonly ifExists: boolean;
  /** In lower case: keys are compared without regard to it. */
  readonly key: string;
  readonly values: readonly string[];
}

/** What a request says of condition keys, by their names in lower case. */
export type RequestValues = ReadonlyMap<string, readonly string[]>;

type Compare = (actual: string, wanted: string, lookup: Lookup) => boolean;

const equal: Compare = (actual, wanted, lookup) => substitute(wanted, lookup) === actual;
const equalIgnoringCase: Compare = (actual, wanted, lookup) =>
  substitute(wanted, lookup)?.toLowerCase() === actual.toLowerCase();
const like: Compare = (actual, wanted, lookup) => matchesPattern(wanted, actual, lookup);
const arnLike: Compare = (actual, wanted, lookup) => matchesArn(wanted, actual, lookup);
const numeric =
  (compare: (actual: number, wanted: number) => boolean): Compare =>
  (actual, wanted) =>
    compare(Number(actual), Number(wanted));

/** Null is apart: it asks for no value. Dates, addresses and blobs are in none of the templates, and refused. */
const OPERATORS: Readonly<Record<string, { readonly compare: Compare; readonly negated?: true }>> = {
  StringEquals: { compare: equal },
  StringNotEquals: { compare: equal, negated: true },
  StringEqualsIgnoreCase: { compare: equalIgnoringCase },
  StringNotEqualsIgnoreCase: { compare: equalIgnoringCase, negated: true },
  StringLike: { compare: like },
  StringNotLike: { compare: like, negated: true },
  // ArnEquals takes wildcards too.
  ArnEquals: { compare: arnLike },
  ArnLike: { compare: arnLike },
  ArnNotEquals: { compare: arnLike, negated: true },
  ArnNotLike: { compare: arnLike, negated: true },
  Bool: { compare: (actual, wanted) => actual.toLowerCase() === wanted.toLowerCase() },
  NumericEquals: { compare: numeric((actual, wanted) => actual === wanted) },
  NumericNotEquals: { compare: numeric((actual, wanted) => actual === wanted), negated: true },
  NumericLessThan: { compare: numeric((actual, wanted) => actual < wanted) },
  NumericLessThanEquals: { compare: numeric((actual, wanted) => actual <= wanted) },
  NumericGreaterThan: { compare: numeric((actual, wanted) => actual > wanted) },
  NumericGreaterThanEquals: { compare: numeric((actual, wanted) => actual >= wanted) },
};

/** The keys that this cloud gives values to where AWS does. A policy with any other is refused. */
const SINGLE_KEYS = [
  'aws:PrincipalAccount',
  'aws:PrincipalArn',
  'aws:PrincipalIsAWSService',
  'aws:PrincipalServiceName',
  'aws:RequestedRegion',
  'aws:ResourceAccount',
  'aws:SecureTransport',
  'aws:SourceAccount',
  'aws:SourceArn',
  'aws:ViaAWSService',
  'cloudwatch:namespace',
  'ecs:cluster',
  'ecs:CreateAction',
  'iam:PassedToService',
  'kms:CallerAccount',
  'kms:ViaService',
  's3:delimiter',
  's3:max-keys',
  's3:object-lock-legal-hold',
  's3:object-lock-mode',
  's3:object-lock-retain-until-date',
  's3:prefix',
  's3:TlsVersion',
  's3:VersionId',
  's3:x-amz-server-side-encryption',
  's3:x-amz-server-side-encryption-aws-kms-key-id',
  's3:x-amz-storage-class',
  'secretsmanager:SecretId',
  'secretsmanager:VersionId',
  'secretsmanager:VersionStage',
];
const MANY_KEYS = ['dynamodb:LeadingKeys', 'kms:EncryptionContextKeys', 'kms:ResourceAliases'];
/** Keys that go on with a name of the caller's own. */
const FAMILIES = ['ec2:resourcetag/', 'kms:encryptioncontext:'];
const KEYS = new Map([
  ...SINGLE_KEYS.map((key) => [key.toLowerCase(), 'single'] as const),
  ...MANY_KEYS.map((key) => [key.toLowerCase(), 'many'] as const),
]);

/** @throws Error that names the operator or key which this cloud does not know */
export function readConditions(block: unknown): Condition[] {
  return Object.entries((block ?? {}) as Record<string, Record<string, unknown>>).flatMap(([operator, tests]) => {
    const [, set, base = '', exists] = /^(?:(ForAnyValue|ForAllValues):)?(\w+?)(IfExists)?$/.exec(operator) ?? [];
    if (base !== 'Null' && !Object.hasOwn(OPERATORS, base))
      throw new Error(`the condition operator ${operator} is not evaluated by this cloud`);
    return Object.entries(tests).map(([name, wanted]): Condition => {
      const key = name.toLowerCase();
      const kind = FAMILIES.some((family) => key.startsWith(family)) ? 'single' : KEYS.get(key);
      if (kind === undefined) throw new Error(`the condition key ${name} has no value in this cloud`);
      if (kind === 'many' && set === undefined && base !== 'Null')
        throw new Error(`the condition key ${name} holds several values: write ForAnyValue: or ForAllValues:`);
      return {
        operator,
        base,
        set: set as Condition['set'],
        ifExists: exists !== undefined,
        key,
        values: (Array.isArray(wanted) ? wanted : [wanted]).map(String),
      };
    });
  });
}

export function holds(condition: Condition, request: RequestValues): boolean {
  const { base, set, ifExists, key, values } = condition;
  const lookup: Lookup = (name) => request.get(name.toLowerCase())?.[0];
  const actual = request.get(key) ?? [];
  if (base === 'Null') return values.includes(String(actual.length === 0));
  const { compare, negated } = OPERATORS[base] as (typeof OPERATORS)[string];
  const passes = (value: string): boolean =>
    values.some((wanted) => compare(value, wanted, lookup)) !== Boolean(negated);
  if (set === 'ForAllValues') return actual.every(passes);
  if (set === 'ForAnyValue') return actual.some(passes) || (actual.length === 0 && ifExists);
  // A key that the request does not have differs from every value.
  if (actual.length === 0) return ifExists || Boolean(negated);
  return passes(actual[0] as string);
}

function substitute(text: string, lookup: Lookup): string | undefined {
  let complete = true;
  const filled = text.replace(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = name === '*' || name === '?' || name === '$' ? name : lookup(name);
    complete &&= value !== undefined;
    return value ?? '';
  });
  return complete ? filled : undefined;
}
