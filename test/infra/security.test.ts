import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Loose, statements, synthesize } from './assembly.ts';

/** What SECURITY.md says of roles, as the templates have it. */

const page = readFileSync('SECURITY.md', 'utf8');
const assembly = synthesize({
  databases: [{ name: 'orders', version: 17, primary: { secret: 'orders/primary' }, physical: {} }],
});
const templates = assembly.stacks.map(({ template }) => template as Loose);
const all = templates.flatMap((template) => statements(template));

test('no role that pgdr makes may do what the page says none may', () => {
  const denied =
    /^(s3:(DeleteObjectVersion|BypassGovernanceRetention|PutObjectLegalHold|PutBucket\w*)|kms:(ScheduleKeyDeletion|DisableKey)|iam:(?!PassRole$))/;
  const found = all.flatMap(({ policy, actions }) =>
    actions.filter((action) => denied.test(action)).map((action) => `${policy} ${action}`),
  );
  expect(found).toEqual([]);
});

test('only the tasks that back up, receive WAL and restore for good read a secret of the database', () => {
  const readers = all.filter(
    ({ actions, resources }) =>
      actions.includes('secretsmanager:GetSecretValue') &&
      resources.some((resource) => resource.includes('orders/primary')),
  );
  const kinds = new Set(readers.map(({ policy }) => policy.replace(/DefaultPolicy.*$/, '')));
  expect([...kinds].sort()).toEqual(['RolesBackup', 'RolesRecover', 'WalReceiverRole']);
});

test('deletion markers come from one function alone', () => {
  const deleting = all.filter(({ actions }) => actions.includes('s3:DeleteObject')).map(({ policy }) => policy);
  expect(new Set(deleting.map((policy) => policy.replace(/RoleDefaultPolicy.*$/, '')))).toEqual(
    new Set(['RetentionRemove']),
  );
});

test('every function and every named role has a row', () => {
  const table = page.slice(page.indexOf('## Who can do what'), page.indexOf('## Attackers'));
  const functions = templates.flatMap((template) =>
    Object.values<Loose>(template.Resources)
      .filter(({ Type }) => Type === 'AWS::Lambda::Function')
      .map(({ Properties }) => String(Properties.FunctionName).replace(/^acme-/, '')),
  );
  const roles = templates.flatMap((template) =>
    Object.values<Loose>(template.Resources)
      .filter(({ Type, Properties }) => Type === 'AWS::IAM::Role' && typeof Properties.RoleName === 'string')
      .map(({ Properties }) =>
        String(Properties.RoleName)
          .replace(/^acme-(orders-)?/, '')
          .replace(/-(eu-north|us-east)-1$/, ''),
      ),
  );
  const names = [...new Set([...functions, ...roles])];
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) expect(table.includes(name.replace(/^failover-/, '')), name).toBe(true);
});
