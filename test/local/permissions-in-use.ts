import { expect } from 'vitest';
import { type Rehearsal, region } from '../../lib/cli/rehearse/rehearsal.ts';
import type { Caller } from '../../local/facade.ts';
import { createAuthority } from '../../local/iam/authority.ts';
import { accessDenied } from '../../local/iam/denial.ts';
import type { GrantedPermission, RoleStatements } from '../../local/iam/unused.ts';

/**
 * What the templates allow, held against what runs made use of: nothing is missing, or they would not have passed, and
 * nothing is there without a use. Each test shows it for its own capability; what is nobody's in particular is logical's.
 */

const account = '111122223333';

export type Capability = 'logical' | 'physical';

interface Permissions {
  readonly role: RegExp;
  /** @default all of the role's */
  readonly resource?: RegExp;
}

/** What only physical backups, WAL and restores to a point in time make use of: shown by pitr.test.ts. */
const ofPhysical: readonly Permissions[] = [
  { role: /-orders-receive-/ },
  { role: /-WorkflowsBackupPhysicalRo/ },
  { role: /-orders-backup-/, resource: /:stateMachine:\w+-backup-physical$/ },
  { role: /-orders-restore-/, resource: /:stateMachine:\w+-restore$|\/(adhoc|recovery-proofs)\/\*$/ },
  { role: /-WorkflowsRestoreRole/, resource: /:role\/\w+-\*-restore-/ },
  { role: /-WalAudit/ },
  { role: /-pgdr-schedules-/, resource: /:stateMachine:\w+-backup-physical$|:function:\w+-audit-wal$/ },
];

/** Permissions that nothing here uses, by role, with the reason why they are given all the same. */
const unusedHere: readonly { role: RegExp; actions: readonly string[]; why: string }[] = [
  {
    role: /FlowLogIAMRole/,
    actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
    why: 'the VPC writes its flow log, and no packet crosses a VPC here',
  },
  {
    role: /-pgdr-replication-/,
    actions: ['s3:GetObjectVersionTagging', 's3:GetObjectRetention', 's3:GetObjectLegalHold', 's3:ReplicateTags'],
    why: 'S3 demands them of a bucket with Object Lock; here it copies the lock with the rest, and nothing has a tag',
  },
  {
    role: /-orders-receive-/,
    actions: ['kms:Decrypt'],
    why: 'DynamoDB opens its table with it for whoever asks; the DynamoDB here keeps nothing encrypted',
  },
  {
    role: /-(Workflows(BackupLogical|BackupPhysical|RestoreTest|Restore|Verify)|RetentionWorkflow)Ro/,
    actions: ['logs:DeleteLogDelivery'],
    why: 'Step Functions ends the delivery of a machine that is deleted or logs no more',
  },
];

const isOf = (capability: Capability, { role, resource }: Pick<GrantedPermission, 'role' | 'resource'>): boolean => {
  const physical = ofPhysical.some((one) => one.role.test(role) && (one.resource?.test(resource) ?? true));
  return physical === (capability === 'physical');
};

/** The roles of the region in which the rehearsal runs; the other region has the same ones for the day of its need. */
function roles({ cloud }: Rehearsal): RoleStatements[] {
  const arns = cloud.stacks
    .filter((stack) => stack.region === region)
    .flatMap((stack) => Object.values(stack.resources))
    .filter(({ type }) => type === 'AWS::IAM::Role')
    .map(({ made }) => made.attributes?.Arn);
  return cloud.iam.statements().filter(({ arn }) => arns.includes(arn));
}

/** Everything the capability may do has been done, but for what has a reason written above. */
export function expectAllUsed(rehearsal: Rehearsal, capability: Capability): void {
  const granted = roles(rehearsal);
  const own = granted.flatMap(({ arn: role, statements }) =>
    statements
      .flatMap(({ actions, resources }) =>
        actions.flatMap((action) => resources.map((resource) => ({ action, resource }))),
      )
      .map((permission) => ({ role, ...permission }))
      .filter((permission) => isOf(capability, permission)),
  );
  const unused = rehearsal.cloud
    .unusedPermissions()
    .filter((one) => granted.some(({ arn }) => arn === one.role) && isOf(capability, one));
  const known = own
    .filter(({ role, action }) => unusedHere.some((one) => one.role.test(role) && one.actions.includes(action)))
    .map(({ role, action }) => `${role} ${action}`);
  const found = unused.map(({ role, action }) => `${role} ${action}`);
  expect(unused.filter(({ role, action }) => !known.includes(`${role} ${action}`))).toEqual([]);
  expect(known.filter((entry) => !found.includes(entry))).toEqual([]);
}

/** Without any one statement of the capability, a call that was made would be refused. Gives the refusals. */
export function expectAllNeeded(rehearsal: Rehearsal, capability: Capability): string[] {
  const { iam, kms, s3, sns, lambda, usage } = rehearsal.cloud;
  const refusals: string[] = [];
  for (const { arn, statements } of roles(rehearsal)) {
    for (const statement of statements) {
      const own = statement.resources.some((resource) => isOf(capability, { role: arn, resource }));
      const exempt = unusedHere.filter(({ role }) => role.test(arn)).flatMap(({ actions }) => actions);
      if (!own || statement.actions.every((action) => exempt.includes(action))) continue;
      const without = statements.filter((other) => other !== statement);
      const policiesOf = (role: string) => (role === arn ? [{ statements: without }] : iam.policiesOf(role));
      const authority = createAuthority(account, { policiesOf, trustOf: iam.trustOf }, [kms, s3, sns, lambda]);
      const caller = (action: string): Caller => ({
        service: action.split(':')[0] as string,
        region,
        principal: { arn: arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/'), roleArn: arn },
      });
      const refused = usage()
        .filter((use) => use.principal === arn && use.allowedBy.includes(statement.id))
        .flatMap((use) => {
          const decision = authority.decide(caller(use.action), use);
          if (decision.allowed) return [];
          const { service, principal } = caller(use.action);
          const { message } = accessDenied(service, principal, use, decision.reason);
          return message.includes(use.action) && message.includes(use.resource) ? [message] : [];
        });
      expect([statement.id, statement.actions, refused.length > 0]).toEqual([statement.id, statement.actions, true]);
      refusals.push(...refused);
    }
  }
  // The call itself is asked as it was recorded: with all its statements, nothing of this is refused.
  return refusals;
}
