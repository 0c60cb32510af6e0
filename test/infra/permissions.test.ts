import { Stack } from 'aws-cdk-lib';
import { AnyPrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnBucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, test } from 'vitest';
import { parseConfig } from '../../lib/config/schema.ts';
import { allow, makeRole } from '../../lib/constructs/permissions.ts';
import { buildApp } from '../../lib/stacks/build-app.ts';
import { type Loose, sample, statements, synthesize, temporaryFolder } from './assembly.ts';

const assembly = synthesize();
const platform = assembly.template('acme-platform-eu-north-1');
const database = assembly.template('acme-orders-eu-north-1');

/** Every `*` in a resource that any identity may act on. A new one needs a reason here and beside its grant. */
const wildcards: Record<string, string> = {
  '*': 'APIs without resources: the registry token, ListTasks (with the cluster as a condition), log delivery, X-Ray',
  'arn:aws:ssm:eu-north-1:<AWS::AccountId>:parameter/acme/databases/*': 'workflows serve every database',
  'arn:aws:ecs:eu-north-1:<AWS::AccountId>:task-definition/acme-pgdr-pg*:*': 'majors and revisions come and go',
  'arn:aws:ecs:eu-north-1:<AWS::AccountId>:task/acme-pgdr/*': 'tasks have no name before they run',
  'arn:aws:iam::<AWS::AccountId>:role/acme-*-backup-eu-north-1': 'the backup role of every database',
  'arn:aws:iam::<AWS::AccountId>:role/acme-*-recover-eu-north-1': 'the recovery role of every database',
  'arn:aws:iam::<AWS::AccountId>:role/acme-*-restore-eu-north-1': 'the restore role of every database',
  '<bucket>/*': 'verification reads the backups of every database',
  '<bucket>/*/verification.json': 'verification is written down beside each backup, and read to tell its age',
  '<bucket>/*/manifest.json': 'the state of replication of every backup',
  '<bucket>/*/proofs/*': 'reports of restore tests of every database are read to tell their age',
  '<bucket>/*/base/*': 'retention marks base backups of every database as deleted',
  '<bucket>/*/logical/*': 'and logical backups',
  '<bucket>/*/wal/*': 'and WAL',
  '<bucket>/*/wal/*.history': 'retention follows the timelines of every database',
  '<bucket>/*/wal/archive.json': 'and knows the size of their segments',
  '<bucket>/*/retention/*': 'plans of retention are written down before they are carried out',
  'arn:aws:kms:eu-north-1:<AWS::AccountId>:key/*': 'the key is known by its alias, a condition',
  'arn:aws:kms:us-east-1:<AWS::AccountId>:key/*': 'copies are under the key of the other region, known by its alias',
  'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-eu-north-1/*': 'S3 copies every object',
  'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-us-east-1/*': 'S3 copies every object to the other region',
  'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-eu-north-1/acme/orders/*': 'objects of one database',
  'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-eu-north-1/acme/orders/main/proofs/*': 'proofs of one database',
};

test('wildcards in resources are the known ones', () => {
  const found = [...statements(platform), ...statements(database)]
    .flatMap(({ resources }) => resources)
    .filter((resource) => resource.includes('*'))
    .map((resource) => resource.replace(/<VaultBucket\w+\.Arn>/, '<bucket>'));
  expect([...new Set(found)].sort()).toEqual(Object.keys(wildcards).sort());
});

test('an unconditional "*" is only where the API has no resource', () => {
  const actions = [...statements(platform), ...statements(database)]
    .filter(({ resources, condition }) => resources.includes('*') && !condition)
    .flatMap(({ actions }) => actions);
  expect(actions.filter((action) => !/^(logs|xray):/.test(action))).toEqual([
    'ecr:GetAuthorizationToken',
    'ecs:DescribeTaskDefinition',
  ]);
  const ownLogs = actions.filter((action) => action.startsWith('logs:'));
  expect(ownLogs.every((action) => /LogDeliver|DescribeLogGroups|ResourcePolic/.test(action))).toBe(true);
});

test('no action has a wildcard, only retention deletes objects, and nobody deletes versions or lifts their lock', () => {
  for (const { policy, actions } of [...statements(platform), ...statements(database)]) {
    for (const action of actions) {
      expect(action).not.toContain('*');
      // A backup keeps what it refers to for longer: without the right to bypass a lock, it can only be extended.
      if (action === 's3:PutObjectRetention' && policy.startsWith('RolesBackup')) continue;
      if (action === 's3:DeleteObject' && policy.startsWith('RetentionRemove')) continue;
      expect(action).not.toMatch(/^s3:(Delete|Bypass|PutObjectRetention|PutObjectLegalHold|PutBucket)/);
    }
  }
});

test('roles of tasks are passed to tasks alone', () => {
  const passes = statements(platform).filter(
    ({ actions, policy }) => actions.includes('iam:PassRole') && !policy.startsWith('ReplicationBack'),
  );
  const runs = statements(platform).filter(({ actions }) => actions.includes('ecs:RunTask'));
  expect(passes.map(({ policy }) => policy)).toEqual(runs.map(({ policy }) => policy));
  for (const { condition } of passes) {
    expect(condition).toEqual({ StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } });
  }
});

test('the recovery region allows what the primary region allows', () => {
  const inRegion = (region: string, other: string) =>
    ['platform', 'orders'].flatMap((stack) =>
      // One function of the primary region alone writes the rules by which the other one copies back.
      statements(assembly.template(`acme-${stack}-${region}`))
        .filter(({ policy }) => !policy.startsWith('ReplicationBack'))
        .map((statement) => JSON.stringify(statement).replaceAll(region, '<region>').replaceAll(other, '<other>')),
    );
  expect(inRegion('us-east-1', 'eu-north-1')).toEqual(inRegion('eu-north-1', 'us-east-1'));
});

test('functions read versions only to verify them, and list them only to see what was written twice', () => {
  const readers = statements(platform).filter(({ actions }) => actions.includes('s3:GetObjectVersion'));
  expect(readers.map(({ policy }) => policy)).toEqual([expect.stringMatching(/^WorkflowsVerifyObjectsRole/)]);
  const listers = statements(platform).filter(({ actions }) => actions.includes('s3:ListBucketVersions'));
  expect(listers.map(({ policy }) => policy)).toEqual([expect.stringMatching(/^WalAuditFunctionRole/)]);
});

test('schedules alone wear the schedule role, and only those of the group', () => {
  const role = Object.values<Loose>(platform.Resources).find(
    ({ Properties }) => Properties?.RoleName === 'acme-pgdr-schedules-eu-north-1',
  );
  const [trust] = role.Properties.AssumeRolePolicyDocument.Statement;
  expect(trust.Principal).toEqual({ Service: 'scheduler.amazonaws.com' });
  expect(Object.keys(trust.Condition)).toEqual(['StringEquals', 'ArnEquals']);
});

test('cdk-nag finds nothing', () => {
  expect(new AwsSolutionsChecks(assembly.app).validateScope(assembly.app)).toEqual({ success: true, violations: [] });
});

test('cdk-nag is on: a finding ends synthesis', () => {
  const before = process.exitCode;
  const app = buildApp(parseConfig(sample), {
    outdir: temporaryFolder(),
    context: { 'aws:cdk:bundling-stacks': [] },
  });
  new CfnBucket(app.node.findChild('acme-platform-eu-north-1'), 'Careless');
  let failure: unknown;
  try {
    app.synth();
  } catch (error) {
    failure = error;
  }
  const code = process.exitCode;
  process.exitCode = before;
  expect({ failed: failure !== undefined || code === 1 }).toEqual({ failed: true });
});

test('a grant with a wildcard and no reason is refused', () => {
  const role = makeRole(new Stack(), 'Role', new AnyPrincipal(), 'a test');
  expect(() => allow(role, { actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*'] })).toThrow(/no reason/);
  expect(() => allow(role, { actions: ['s3:*'], resources: ['arn:aws:s3:::b'] })).toThrow(/name the actions/);
});
