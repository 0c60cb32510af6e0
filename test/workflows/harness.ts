import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import { StatesError } from '../../local/asl/errors.ts';
import type { TaskCall } from '../../local/asl/frame.ts';
import { runMachine } from '../../local/asl/interpreter.ts';
import { parseStateMachine } from '../../local/asl/load.ts';
import type { Json, Outcome, StateMachine } from '../../local/asl/types.ts';

/** Runs the state machines as they are written, on the engine, with answers given here in place of AWS's. */

export const definitionText = (name: string): string =>
  readFileSync(new URL(`../../state-machines/${name}.asl.json`, import.meta.url), 'utf8');

/** JSON whose shape the test knows. */
// biome-ignore lint/suspicious/noExplicitAny: a type for each state's arguments would say nothing that expect does not
export type Loose = any;

/** With every `${Placeholder}` replaced by a value that tells its name. */
export const loadMachine = (name: string): StateMachine =>
  parseStateMachine(
    definitionText(name).replace(/\$\{(\w+)\}/g, (_, key) => (key === 'SubnetIds' ? 'subnet-a,subnet-b' : `the${key}`)),
  );

export const settings = {
  schemaVersion: 1,
  taskDefinition: 'acme-pgdr-pg17',
  restoreTaskDefinition: 'acme-pgdr-pg18',
  backupRoleArn: 'arn:aws:iam::111122223333:role/acme-orders-backup-eu-north-1',
  restoreRoleArn: 'arn:aws:iam::111122223333:role/acme-orders-restore-eu-north-1',
  recoverRoleArn: 'arn:aws:iam::111122223333:role/acme-orders-recover-eu-north-1',
  objectives: { rpoSeconds: 86_400, rtoSeconds: 14_400 },
  tasks: {
    backup: { cpu: '2048', memory: '4096', storageGiB: 21, timeoutSeconds: 21_600, heartbeatSeconds: 300 },
    restore: { cpu: '4096', memory: '8192', storageGiB: 100, timeoutSeconds: 21_600, heartbeatSeconds: 300 },
    recover: { cpu: '1024', memory: '2048', storageGiB: 21, timeoutSeconds: 43_200, heartbeatSeconds: 60 },
  },
  restore: {
    targets: [
      { secret: 'orders/restore', taskDefinition: 'acme-pgdr-pg17' },
      { secret: 'orders/next', taskDefinition: 'acme-pgdr-pg18' },
    ],
  },
  restoreTest: { assertions: ['SELECT true'] },
};

/** What a state's task answers: a value, or how to make one; throwing a StatesError fails it. */
export type Answers = Readonly<Record<string, Json | ((call: TaskCall, attempt: number) => Json | Promise<Json>)>>;

export interface Run {
  readonly outcome: Outcome;
  /** Names of the states in the order they were entered, those inside Maps too. */
  readonly path: readonly string[];
  /** Arguments of every call, by state, in order. */
  readonly calls: ReadonlyMap<string, readonly Loose[]>;
  /** States whose task failed for good or not. */
  readonly failed: ReadonlySet<string>;
}

/** `speed`: how much faster than real time retries, timeouts and heartbeats run. */
export async function run(machine: StateMachine, input: Json, answers: Answers, speed = 20_000): Promise<Run> {
  const path: string[] = [];
  const calls = new Map<string, unknown[]>();
  const failed = new Set<string>();
  const outcome = await runMachine(machine, input, {
    clock: createClock(speed),
    context: {
      Execution: { Id: 'arn:aws:states:eu-north-1:111122223333:execution:acme-x:run.1', Name: 'run.1' },
    },
    history: (event: Loose) => {
      const name = event.stateEnteredEventDetails?.name;
      if (name) path.push(name);
    },
    integrate: async (call) => {
      const before = calls.get(call.state) ?? [];
      calls.set(call.state, [...before, call.arguments]);
      const answer = answers[call.state];
      if (answer === undefined) throw new Error(`the test has no answer for "${call.state}"`);
      try {
        return await (typeof answer === 'function' ? answer(call, before.length + 1) : answer);
      } catch (error) {
        failed.add(call.state);
        throw error;
      }
    },
  });
  return { outcome, path, calls, failed };
}

export const fail =
  (error: string, cause = 'why') =>
  () => {
    throw new StatesError(error, cause);
  };

/** The arguments of the first call that a state made. */
export const firstCall = ({ calls }: Pick<Run, 'calls'>, state: string): Loose => calls.get(state)?.[0];

/** Every state of a machine, with those inside Maps and Parallels. */
export function* statesOf(block: { States: Record<string, Loose> }): Generator<[string, Loose]> {
  for (const [name, state] of Object.entries(block.States)) {
    yield [name, state];
    if (state.ItemProcessor) yield* statesOf(state.ItemProcessor);
    for (const branch of state.Branches ?? []) yield* statesOf(branch);
  }
}

/** Notes which states were entered and which Catches led on, to show at the end that the tests met all of them. */
export function track(machine: StateMachine) {
  const entered = new Set<string>();
  const caught = new Set<string>();
  const note = ({ path, failed }: Run): void => {
    for (const state of path) entered.add(state);
    const outer = path.filter((state) => state in machine.States);
    for (const [i, name] of outer.entries()) {
      const state: Loose = machine.States[name];
      // A Map or Parallel fails by a state inside it.
      const branches = [state.ItemProcessor, ...(state.Branches ?? [])].filter(Boolean);
      const within = [name, ...branches.flatMap((branch) => Object.keys(branch.States))];
      if (within.some((inner) => failed.has(inner)) && state.Catch?.[0].Next === outer[i + 1]) caught.add(name);
    }
  };
  return {
    watch: async (running: Promise<Run>): Promise<Run> => {
      const result = await running;
      note(result);
      return result;
    },
    expectAllReached(): void {
      const all = [...statesOf(machine)];
      expect(all.map(([name]) => name).filter((name) => !entered.has(name))).toEqual([]);
      expect(all.filter(([name, state]) => state.Catch && !caught.has(name)).map(([name]) => name)).toEqual([]);
    },
  };
}
