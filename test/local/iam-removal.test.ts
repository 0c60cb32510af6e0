import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, region, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { workers } from './rehearsal-strikes.ts';

/**
 * A permission is taken out of the synthesized templates, and a night comes: what fails must say which action on which
 * resource was refused to whom, where an operator looks first.
 */

const postgres = providePostgres(() => {});
const account = '111122223333';
let made = 0;

interface Template {
  readonly Resources: Record<string, { Type: string; Properties: { PolicyDocument: { Statement: Statement[] } } }>;
}
interface Statement {
  readonly Action: string | string[];
}

/** A rehearsal without these actions of the role whose policy has a logical id like this. */
async function without(policy: RegExp, actions: readonly string[]): Promise<Rehearsal> {
  const name = `iam-removal-${process.pid}-${++made}`;
  const directory = join(workDirectory, 'rehearse', name);
  // Beside the others, where what the images would install is found.
  const copy = join(workDirectory, 'rehearse', `${name}.assembly`);
  onTestFinished(() => {
    for (const folder of [directory, copy]) rmSync(folder, { recursive: true, force: true });
  });
  const rehearsal = await startRehearsal({
    postgres,
    directory,
    size: 2_000_000,
    steps: createSteps(createOutput(true)),
    writeLoad: false,
    alter: (assembly) => {
      cpSync(assembly, copy, { recursive: true });
      const taken = readdirSync(copy)
        .filter((file) => file.endsWith(`${region}.template.json`))
        .map((file) => takeAway(join(copy, file), policy, actions));
      expect(taken.reduce((sum, count) => sum + count)).toBe(actions.length);
      return copy;
    },
  });
  // Called before the one above.
  onTestFinished(() => rehearsal.stop());
  return rehearsal;
}

function takeAway(file: string, policy: RegExp, actions: readonly string[]): number {
  const template: Template = JSON.parse(readFileSync(file, 'utf8'));
  let taken = 0;
  for (const [logicalId, { Type, Properties }] of Object.entries(template.Resources)) {
    if (Type !== 'AWS::IAM::Policy' || !policy.test(logicalId)) continue;
    const { PolicyDocument } = Properties;
    PolicyDocument.Statement = PolicyDocument.Statement.map((statement) => {
      const before = [statement.Action].flat();
      const Action = before.filter((action) => !actions.includes(action));
      taken += before.length - Action.length;
      return { ...statement, Action };
    }).filter(({ Action }) => Action.length > 0);
  }
  writeFileSync(file, JSON.stringify(template));
  return taken;
}

/** What AWS says of a role's session. */
const refused = (role: RegExp, action: string, resource: RegExp): RegExp =>
  new RegExp(
    `User: arn:aws:sts::${account}:assumed-role/${role.source}\\S* is not authorized to perform: ${action} ` +
      `on resource: \\W*${resource.source}\\S* because no identity-based policy allows the ${action} action`,
  );

describe('without', () => {
  it("the backup role's s3:PutObject, a backup fails and says so", async () => {
    const rehearsal = await without(/^RolesBackupDefaultPolicy/, ['s3:PutObject']);
    const { execution, failure, slack } = await rehearsal.run('backup-logical');
    expect(execution).toMatchObject({ status: 'FAILED', error: 'StorageRefused' });
    const message = refused(
      /rehearsal-orders-backup-eu-north-1/,
      's3:PutObject',
      /arn:aws:s3:::rehearsal-pgdr-backups/,
    );
    expect(failure).toMatchObject({ step: 'Take backup', message: expect.stringMatching(message) });
    expect(slack?.text).toContain('Backup FAILED');
  });

  it("the workflow's iam:PassRole, its task does not start", async () => {
    const rehearsal = await without(/^WorkflowsBackupLogicalRole/, ['iam:PassRole']);
    const { execution, failure } = await rehearsal.run('backup-logical');
    expect(execution.status).toBe('FAILED');
    const role = `arn:aws:iam::${account}:role/rehearsal-orders-backup-eu-north-1`;
    expect(failure).toMatchObject({
      step: 'Take backup',
      message: expect.stringMatching(refused(/rehearsal-platform/, 'iam:PassRole', new RegExp(role))),
    });
    expect(workers(rehearsal.cloud)).toEqual([]);
  });

  it("the verification's reading, a backup does not count as verified", async () => {
    const rehearsal = await without(/^WorkflowsVerifyObjectsRole/, ['s3:GetObject', 's3:GetObjectVersion']);
    // Storage that refuses may be a passing trouble, and is tried again for more than a minute.
    let hurry: NodeJS.Timeout | undefined;
    rehearsal.cloud.intercept(({ resource }) => {
      if (!resource.endsWith(':function:rehearsal-verify-objects')) return;
      hurry ??= setInterval(() => void rehearsal.cloud.advance(60_000), 2000);
    });
    const { execution, failure } = await rehearsal.run('backup-logical');
    clearInterval(hurry);
    expect(execution).toMatchObject({ status: 'FAILED', error: 'StorageRefused' });
    expect(failure).toMatchObject({
      step: 'Verify objects',
      message: expect.stringMatching(refused(/rehearsal-platform/, 's3:GetObject', /arn:aws:s3:::\S+manifest.json/)),
    });
  });

  it("the schedules' states:StartExecution, a start is kept in the dead-letter queue with its reason", async () => {
    const rehearsal = await without(/^SchedulesRole/, ['states:StartExecution']);
    await expect(rehearsal.run('backup-logical')).rejects.toThrow(/states:StartExecution/);
    const sent = rehearsal.cloud.calls().findLast(({ operation }) => operation === 'SendMessage');
    expect(sent?.resource).toBe(`arn:aws:sqs:${region}:${account}:rehearsal-schedule-dead-letters`);
    const { ERROR_CODE, ERROR_MESSAGE } = (sent?.input.MessageAttributes ?? {}) as Record<
      string,
      { StringValue: string }
    >;
    expect(ERROR_CODE?.StringValue).toBe('AccessDeniedException');
    const machine = new RegExp(`arn:aws:states:${region}:${account}:stateMachine:rehearsal-backup-logical`);
    const message = refused(/rehearsal-pgdr-schedules-eu-north-1/, 'states:StartExecution', machine);
    expect(ERROR_MESSAGE?.StringValue).toMatch(message);
  });

  it("the workflow's logs:CreateLogDelivery, it is not even deployed", async () => {
    await expect(without(/^WorkflowsBackupLogicalRole/, ['logs:CreateLogDelivery'])).rejects.toThrow(
      /WorkflowsBackupLogicalStateMachine.*not authorized to access the Log Destination.*logs:CreateLogDelivery/s,
    );
  });
});
