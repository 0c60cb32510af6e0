import { readdirSync, readFileSync } from 'node:fs';
import { settings } from '../../workflows/harness.ts';
import type { Answer, Case } from './case.ts';

/** The machines of state-machines/, each answered once so that it succeeds, and once more for every task that fails. */

const folder = new URL('../../../state-machines/', import.meta.url);

interface Task {
  readonly Type: string;
  readonly Resource?: string;
  readonly ItemProcessor?: { readonly States: Readonly<Record<string, Task>> };
  readonly Branches?: readonly { readonly States: Readonly<Record<string, Task>> }[];
}

/** Enough of every answer for the expressions that read it, and such that the longest way is taken. */
const payload = {
  batches: [
    { manifestKey: 'k', objects: [] },
    { manifestKey: 'l', objects: [] },
  ],
  ...{ manifestKey: 'k', bytes: 1, parts: 1, workflow: 'w', database: 'orders', ok: true },
  failure: { error: 'Custom', step: 'a step', message: 'why' },
  summary: { planKey: 'p', expired: 2 },
  message: 'seen',
  // Failovers: what began, what was decided, how the old writer was stopped, what a probe found.
  ...{ already: false, resumed: false, request: { dryRun: false, attest: null, approval: 'always' } },
  ...{ verdict: 'approve', fence: 'clean-stop', epoch: 2, applications: [] },
  ...{ failures: 3, writer: 'primary', error: 'it is down' },
  // Failbacks and drills: where the writer is, what was backed up, what changed hands.
  ...{ here: true, says: 'backed up', backup: { id: 'one' }, failover: {}, failback: {}, outcome: { failover: {} } },
};

/** Of every parameter in one: that of the database, of its physical backups, of its failovers. */
const parameter = {
  ...settings,
  tasks: { ...settings.tasks, base: settings.tasks.backup },
  ...{ database: 'orders', region: 'us-east-1', automatic: true, approvalSeconds: 3600 },
};

/** Of AWS Backup and RDS: what a test restored, from what, and where it answers. */
const restored = {
  ...{ CreatedResourceArn: 'arn:db:copy', RecoveryPointArn: 'arn:point', ResourceArn: 'arn:db:orders' },
  DbInstances: [{ Endpoint: { Address: 'copy.example', Port: 5432 } }],
};

function answerFor(resource: string): Answer {
  if (resource.includes(':ssm:')) return { Return: { Parameter: { Value: JSON.stringify(parameter) } } };
  if (resource.includes(':lambda:')) return { Return: { Payload: payload, StatusCode: 200 } };
  if (/:aws-sdk:(backup|rds):/.test(resource)) return { Return: restored };
  if (resource.endsWith(':listTasks'))
    return { Return: { TaskArns: ['arn:aws:ecs:eu-north-1:111122223333:task/one'] } };
  return { Return: { ...payload, Output: payload, MessageId: 'm' } };
}

/** Every task of a block, those inside of Maps and branches too. */
function tasksIn(states: Readonly<Record<string, Task>>): [name: string, resource: string][] {
  return Object.entries(states).flatMap(([name, state]) => [
    ...(state.Type === 'Task' ? [[name, state.Resource ?? ''] as [string, string]] : []),
    ...(state.ItemProcessor ? tasksIn(state.ItemProcessor.States) : []),
    ...(state.Branches ?? []).flatMap((branch) => tasksIn(branch.States)),
  ]);
}

const branchesIn = (states: Readonly<Record<string, Task>>): Readonly<Record<string, Task>>[] =>
  Object.values(states).flatMap(({ Branches = [] }) => Branches.map((branch) => branch.States));

/** What a person or a schedule gives, and what a machine gives to the one that it starts. */
const input = {
  ...{ database: 'orders', backupId: 'one', settings: parameter, run: 'one', operation: 'failover', target: 'standby' },
  ...{ restoreJobId: 'job', starts: 'backup-logical', input: { database: 'orders' } },
  ...{ attest: null, execution: null, decision: null, switched: null },
};

function casesOf(file: string): Case[] {
  const name = file.replace('.asl.json', '');
  const text = readFileSync(new URL(file, folder), 'utf8').replace(/\$\{(\w+)\}/g, 'the$1');
  // Real retries would take minutes: how long they wait is judged by the suite's own machines.
  const quick = text.replace(
    /"(IntervalSeconds|MaxDelaySeconds)": \d+/g,
    (_, field) => `"${field}": ${field === 'IntervalSeconds' ? 1 : 2}`,
  );
  // Iterations one after another, so that the order of events can be compared.
  const inOrder = quick.replace(/"MaxConcurrency": \d+/g, '"MaxConcurrency": 1');
  const definition = JSON.parse(inOrder.replace(/"MaxAttempts": \d+/g, '"MaxAttempts": 1'));
  const tasks = Object.fromEntries(
    tasksIn(definition.States).map(([state, resource]) => [state, [answerFor(resource)]]),
  );
  // How far the other branches come when one fails is a matter of moments: the suite's own machines judge that.
  const inBranches = new Set(
    branchesIn(definition.States).flatMap((states) => tasksIn(states).map(([state]) => state)),
  );
  const failing = Object.keys(tasks).filter((state) => !inBranches.has(state));
  const failed = failing.map((state) => ({
    name: `${name}: ${state} fails`,
    definition,
    input,
    tasks: { ...tasks, [state]: [{ Throw: { Error: 'Custom', Cause: '{"message":"why"}' } }] },
  }));
  return [{ name: `${name}: all goes well`, definition, input, tasks }, ...failed];
}

export const productCases: readonly Case[] = readdirSync(folder)
  .filter((file) => file.endsWith('.asl.json'))
  .flatMap(casesOf);
