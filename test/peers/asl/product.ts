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

/** Enough of every answer for the expressions that read it. */
const payload = {
  batches: [
    { manifestKey: 'k', objects: [] },
    { manifestKey: 'l', objects: [] },
  ],
  ...{ manifestKey: 'k', bytes: 1, parts: 1, workflow: 'w', database: 'orders', ok: true },
  failure: { error: 'Custom', step: 'a step', message: 'why' },
};

function answerFor(resource: string): Answer {
  if (resource.includes(':ssm:')) return { Return: { Parameter: { Value: JSON.stringify(settings) } } };
  if (resource.includes(':lambda:')) return { Return: { Payload: payload, StatusCode: 200 } };
  if (resource.endsWith(':listTasks'))
    return { Return: { TaskArns: ['arn:aws:ecs:eu-north-1:111122223333:task/one'] } };
  return { Return: { ...payload, MessageId: 'm' } };
}

/** Every task of a block, those inside of Maps and branches too. */
function tasksIn(states: Readonly<Record<string, Task>>): [name: string, resource: string][] {
  return Object.entries(states).flatMap(([name, state]) => [
    ...(state.Type === 'Task' ? [[name, state.Resource ?? ''] as [string, string]] : []),
    ...(state.ItemProcessor ? tasksIn(state.ItemProcessor.States) : []),
    ...(state.Branches ?? []).flatMap((branch) => tasksIn(branch.States)),
  ]);
}

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
  const input = { database: 'orders', backupId: 'one' };
  const failed = Object.keys(tasks).map((state) => ({
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
