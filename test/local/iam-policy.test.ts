import { describe, expect, it } from 'vitest';
import { type Decision, evaluate } from '../../local/iam/evaluate.ts';
import { matchesArn } from '../../local/iam/pattern.ts';
import { readPolicy } from '../../local/iam/policy.ts';
import { unusedPermissions } from '../../local/iam/unused.ts';

const account = '111122223333';
const roleArn = `arn:aws:iam::${account}:role/worker`;
const worker = { arn: `arn:aws:sts::${account}:assumed-role/worker/session`, roleArn };
const administrator = { arn: `arn:aws:iam::${account}:root` };
const object = 'arn:aws:s3:::bucket/a/b';

const document = (...Statement: unknown[]) => ({ Version: '2012-10-17', Statement });
const allow = (Action: unknown, Resource: unknown, rest: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...rest,
});
const deny = (Action: unknown, Resource: unknown, rest: object = {}) => ({ Effect: 'Deny', Action, Resource, ...rest });

interface Asked {
  readonly action?: string;
  readonly resource?: string;
  readonly principal?: { arn: string; roleArn?: string; service?: string };
  readonly identity?: object[];
  readonly policy?: object[];
  readonly values?: Record<string, string | string[]>;
  readonly resourceDecides?: boolean;
}

function ask({ principal = worker, identity = [], policy = [], values = {}, ...asked }: Asked): Decision {
  const { action = 's3:GetObject', resource = object, resourceDecides = false } = asked;
  return evaluate(
    {
      account,
      principal,
      action,
      resource,
      values: new Map(Object.entries(values).map(([key, value]) => [key.toLowerCase(), [value].flat()])),
    },
    {
      identity: principal.roleArn === undefined ? undefined : readPolicy('identity', document(...identity), 'identity'),
      resource: policy.length > 0 ? readPolicy('resource', document(...policy), 'resource') : [],
      resourceDecides,
    },
  );
}

const isAllowed = (asked: Asked): boolean => ask(asked).allowed;
const reason = (asked: Asked): string => {
  const decision = ask(asked);
  return decision.allowed ? 'allowed' : decision.reason;
};

describe('a decision', () => {
  it('is no unless a statement says yes, and names the statements that did', () => {
    expect(reason({})).toBe('because no identity-based policy allows the s3:GetObject action');
    const identity = [allow('s3:PutObject', '*'), allow('s3:Get*', 'arn:aws:s3:::bucket/*'), allow('*', '*')];
    expect(ask({ identity })).toEqual({ allowed: true, by: ['identity[1]', 'identity[2]'] });
  });

  it('is no once a statement says no, whoever says yes', () => {
    const identity = [allow('s3:*', '*'), deny('s3:GetObject', 'arn:aws:s3:::bucket/a/*')];
    expect(reason({ identity })).toBe('with an explicit deny in an identity-based policy');
    expect(isAllowed({ identity, resource: 'arn:aws:s3:::bucket/other' })).toBe(true);
    const everyone = { Principal: '*' };
    const policy = [deny('s3:*', 'arn:aws:s3:::bucket/*', everyone)];
    expect(reason({ identity: [allow('s3:*', '*')], policy })).toBe('with an explicit deny in a resource-based policy');
    expect(isAllowed({ principal: administrator, policy })).toBe(false);
    expect(isAllowed({ principal: administrator })).toBe(true);
  });

  it('compares actions without regard to case, resources with it', () => {
    expect(isAllowed({ identity: [allow('S3:getobject', object)] })).toBe(true);
    expect(isAllowed({ identity: [allow('s3:GetObject', 'arn:aws:s3:::bucket/A/b')] })).toBe(false);
    expect(isAllowed({ identity: [allow('s3:GetObjec', object)] })).toBe(false);
    expect(isAllowed({ identity: [allow('s3:GetObjec?', object)] })).toBe(true);
  });

  it('knows everything but (NotAction, NotResource)', () => {
    const notAction = [{ Effect: 'Allow', NotAction: 's3:Delete*', Resource: '*' }];
    expect(isAllowed({ identity: notAction })).toBe(true);
    expect(isAllowed({ identity: notAction, action: 's3:DeleteObject' })).toBe(false);
    const notResource = [{ Effect: 'Allow', Action: 's3:*', NotResource: 'arn:aws:s3:::bucket/a/*' }];
    expect(isAllowed({ identity: notResource })).toBe(false);
    expect(isAllowed({ identity: notResource, resource: 'arn:aws:s3:::bucket/c' })).toBe(true);
  });

  it('takes a yes of the resource for one of the identity, where it names the role itself', () => {
    const by = (Principal: unknown) => ({ policy: [allow('s3:*', 'arn:aws:s3:::bucket/*', { Principal })] });
    expect(isAllowed(by({ AWS: roleArn }))).toBe(true);
    expect(isAllowed(by({ AWS: worker.arn }))).toBe(true);
    expect(isAllowed(by('*'))).toBe(true);
    // An account that is named leaves it to its own policies.
    expect(isAllowed(by({ AWS: administrator.arn }))).toBe(false);
    expect(isAllowed(by({ AWS: `${roleArn}-other` }))).toBe(false);
    expect(isAllowed(by({ Service: 's3.amazonaws.com' }))).toBe(false);
  });

  it('leaves a service to the resource alone', () => {
    const principal = { arn: 'sns.amazonaws.com', service: 'sns.amazonaws.com' };
    const policy = (Service: string) => [allow('s3:*', '*', { Principal: { Service } })];
    expect(reason({ principal })).toBe('because no resource-based policy allows the s3:GetObject action');
    expect(isAllowed({ principal, policy: policy('sns.amazonaws.com') })).toBe(true);
    expect(isAllowed({ principal, policy: policy('sqs.amazonaws.com') })).toBe(false);
  });

  it("needs a key's own yes, by which the account may hand it to identities", () => {
    const identity = [allow('kms:Decrypt', '*')];
    const key = { action: 'kms:Decrypt', resource: 'arn:aws:kms:eu-north-1:111122223333:key/1', resourceDecides: true };
    const by = (AWS: string) => [allow('kms:*', '*', { Principal: { AWS } })];
    expect(reason({ ...key, identity })).toBe('because no resource-based policy allows the kms:Decrypt action');
    expect(isAllowed({ ...key, identity, policy: by(administrator.arn) })).toBe(true);
    expect(reason({ ...key, policy: by(administrator.arn) })).toBe(
      'because no identity-based policy allows the kms:Decrypt action',
    );
    expect(isAllowed({ ...key, policy: by(roleArn) })).toBe(true);
  });
});

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: variables of policies
describe('an ARN pattern', () => {
  it.each([
    ['*', 'arn:aws:s3:::bucket', true],
    ['*', '*', true],
    ['arn:aws:s3:::*', '*', false],
    ['arn:aws:s3:::bucket/*', 'arn:aws:s3:::bucket', false],
    ['arn:aws:s3:::bucket*', 'arn:aws:s3:::bucket/a/b:c', true],
    ['arn:aws:s3:::b.cket/*', 'arn:aws:s3:::bucket/x', false],
    [
      'arn:aws:secretsmanager:eu-north-1:1:secret:a-??????',
      'arn:aws:secretsmanager:eu-north-1:1:secret:a-AbCdEf',
      true,
    ],
    [
      'arn:aws:secretsmanager:eu-north-1:1:secret:a-??????',
      'arn:aws:secretsmanager:eu-north-1:1:secret:a-b-AbCdEf',
      false,
    ],
    // A star stays within its part.
    ['arn:aws:ecs:*:task/x', 'arn:aws:ecs:eu-north-1:1:task/x', false],
    ['arn:aws:ecs:*:*:task/x', 'arn:aws:ecs:eu-north-1:1:task/x', true],
  ])('%s fits %s: %s', (pattern, arn, fits) => {
    expect(matchesArn(pattern, arn, () => undefined)).toBe(fits);
  });

  it('has variables, whose values are no patterns', () => {
    const identity = [allow('s3:GetObject', ['arn:aws:s3:::bucket/${aws:PrincipalAccount}/*', 'arn:aws:s3:::${*}/a'])];
    const asked = { identity, resource: `arn:aws:s3:::bucket/${account}/x` };
    expect(isAllowed({ ...asked, values: { 'aws:PrincipalAccount': account } })).toBe(true);
    expect(isAllowed({ ...asked, values: { 'aws:PrincipalAccount': '*' } })).toBe(false);
    expect(isAllowed(asked)).toBe(false);
    expect(isAllowed({ identity, resource: 'arn:aws:s3:::any/a' })).toBe(false);
    expect(isAllowed({ identity, resource: 'arn:aws:s3:::*/a' })).toBe(true);
  });
});

describe('a condition', () => {
  const under = (Condition: object, values: Asked['values']) =>
    isAllowed({ identity: [allow('*', '*', { Condition })], values });
  const several = ['alias/a', 'alias/b'];

  it.each<[string, object, Record<string, string | string[]>, boolean]>([
    ['one of several values', { StringEquals: { 's3:prefix': ['a/', 'b/'] } }, { 's3:prefix': 'b/' }, true],
    ['no pattern in StringEquals', { StringEquals: { 's3:prefix': 'a/*' } }, { 's3:prefix': 'a/b' }, false],
    ['a pattern in StringLike', { StringLike: { 's3:prefix': 'a/*' } }, { 's3:prefix': 'a/b' }, true],
    ['none of several values', { StringNotEquals: { 's3:prefix': ['a/', 'b/'] } }, { 's3:prefix': 'b/' }, false],
    ['keys in any case', { StringEquals: { 'S3:PREFIX': 'a/' } }, { 's3:prefix': 'a/' }, true],
    ['a key that is absent', { StringLike: { 's3:prefix': '*' } }, {}, false],
    ['an absent key in a negation', { StringNotEquals: { 's3:prefix': 'a/' } }, {}, true],
    ['an absent key with IfExists', { StringLikeIfExists: { 's3:prefix': 'a/' } }, {}, true],
    ['a key that exists with IfExists', { StringLikeIfExists: { 's3:prefix': 'a/' } }, { 's3:prefix': 'b/' }, false],
    ['Null of an absent key', { Null: { 's3:prefix': 'true' } }, {}, true],
    ['Null of a key that is there', { Null: { 's3:prefix': 'true' } }, { 's3:prefix': '' }, false],
    ['Bool', { Bool: { 'aws:SecureTransport': 'false' } }, { 'aws:SecureTransport': 'true' }, false],
    ['a number', { NumericLessThan: { 's3:TlsVersion': 1.2 } }, { 's3:TlsVersion': '1.3' }, false],
    ['a smaller number', { NumericLessThan: { 's3:TlsVersion': 1.2 } }, { 's3:TlsVersion': '1.1' }, true],
    [
      'wildcards in ArnEquals',
      { ArnEquals: { 'ecs:cluster': 'arn:aws:ecs:*:*:cluster/c' } },
      { 'ecs:cluster': 'arn:aws:ecs:r:1:cluster/c' },
      true,
    ],
    [
      'ArnNotLike',
      { ArnNotLike: { 'ecs:cluster': 'arn:aws:ecs:*:*:cluster/c' } },
      { 'ecs:cluster': 'arn:aws:ecs:r:1:cluster/c' },
      false,
    ],
    [
      'any of a list',
      { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/b' } },
      { 'kms:ResourceAliases': several },
      true,
    ],
    ['any of an empty list', { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/b' } }, {}, false],
    [
      'all of a list',
      { 'ForAllValues:StringEquals': { 'kms:ResourceAliases': 'alias/b' } },
      { 'kms:ResourceAliases': several },
      false,
    ],
    ['all of an empty list', { 'ForAllValues:StringEquals': { 'kms:ResourceAliases': 'alias/b' } }, {}, true],
    [
      'a variable',
      { StringEquals: { 's3:prefix': '${aws:PrincipalAccount}/' } },
      { 's3:prefix': '1/', 'aws:PrincipalAccount': '1' },
      true,
    ],
    [
      'an encryption context',
      { StringEquals: { 'kms:EncryptionContext:aws:s3:arn': 'x' } },
      { 'kms:EncryptionContext:aws:s3:arn': 'x' },
      true,
    ],
  ])('%s', (_, condition, values, holds) => {
    expect(under(condition, values)).toBe(holds);
  });

  it('has to hold with all its fellows', () => {
    const condition = {
      StringEquals: { 's3:prefix': 'a/', 's3:delimiter': '/' },
      Bool: { 'aws:SecureTransport': true },
    };
    const values = { 's3:prefix': 'a/', 's3:delimiter': '/', 'aws:SecureTransport': 'true' };
    expect(under(condition, values)).toBe(true);
    for (const key of Object.keys(values)) expect(under(condition, { ...values, [key]: 'x' })).toBe(false);
  });
});

// biome-ignore-end lint/suspicious/noTemplateCurlyInString: variables of policies

describe('a policy that this cloud would not evaluate as AWS does', () => {
  const statement = allow('s3:GetObject', '*');
  it.each<[string, object, RegExp]>([
    ['an operator', { ...statement, Condition: { DateLessThan: { 'aws:CurrentTime': 'x' } } }, /operator DateLessThan/],
    ['a key', { ...statement, Condition: { StringEquals: { 'aws:Made-up': 'x' } } }, /key aws:Made-up/],
    [
      'a list without a quantifier',
      { ...statement, Condition: { StringEquals: { 'kms:ResourceAliases': 'x' } } },
      /ForAnyValue/,
    ],
    ['an element', { ...statement, Principals: '*' }, /Principals is no element/],
    ['a principal in an identity policy', { ...statement, Principal: '*' }, /Principal is no element/],
    ['an effect', { ...statement, Effect: 'allow' }, /Effect is allow/],
    ['an action', { ...statement, Action: 'GetObject' }, /GetObject is no action/],
    ['a resource', { ...statement, Resource: 'bucket/*' }, /bucket\/\* is no ARN/],
    ['both lists', { ...statement, NotAction: 's3:PutObject' }, /either Action or NotAction/],
  ])('is refused: %s', (_, bad, message) => {
    expect(() => readPolicy('p', document(statement, bad), 'identity')).toThrow(message);
    expect(() => readPolicy('p', document(statement, bad), 'identity')).toThrow(/^statement 1 of the policy p: /);
  });

  it('is refused: other versions, federated principals, resources of a trust', () => {
    expect(() => readPolicy('p', { Statement: [] }, 'identity')).toThrow(/version undefined/);
    const federated = { ...statement, Principal: { Federated: 'x' } };
    expect(() => readPolicy('p', document(federated), 'resource')).toThrow(/kind Federated/);
    expect(() => readPolicy('p', document({ ...statement, Principal: '*' }), 'trust')).toThrow(
      /Resource is no element/,
    );
  });
});

it('permissions that no call used are listed by action and resource', () => {
  const statements = readPolicy(
    'p',
    document(allow(['s3:GetObject', 's3:Put*'], ['arn:aws:s3:::a/*', 'arn:aws:s3:::b/*']), deny('s3:Delete*', '*'), {
      Effect: 'Allow',
      NotAction: 'iam:*',
      Resource: '*',
    }),
    'identity',
  );
  const use = (action: string, resource: string, allowedBy: string[]) => ({
    principal: roleArn,
    action,
    resource,
    count: 1,
    allowedBy,
  });
  const usage = [
    use('s3:GetObject', 'arn:aws:s3:::a/1', ['p[0]']),
    use('s3:PutObject', 'arn:aws:s3:::b/1', ['p[0]']),
    use('s3:PutObject', 'arn:aws:s3:::a/1', []),
    { ...use('s3:GetObject', 'arn:aws:s3:::b/1', ['p[0]']), principal: 'somebody else' },
  ];
  expect(unusedPermissions([{ arn: roleArn, statements }], usage)).toEqual([
    { role: roleArn, statement: 'p[0]', action: 's3:GetObject', resource: 'arn:aws:s3:::b/*' },
    { role: roleArn, statement: 'p[0]', action: 's3:Put*', resource: 'arn:aws:s3:::a/*' },
    { role: roleArn, statement: 'p[2]', action: 'all but iam:*', resource: '*' },
  ]);
});
