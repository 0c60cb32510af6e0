import { CliError, exitCode } from '../../errors.ts';
import type { Rehearsal, WorkflowRun } from '../rehearsal.ts';
import type { FaultResult } from '../result.ts';
import { checkFault, keysOf } from './checks.ts';
import type { Fault } from './fault.ts';
import { sourceFaults } from './source.ts';
import { storageFaults } from './storage.ts';
import { taskFaults } from './task.ts';

export const faults: readonly Fault[] = [...sourceFaults, ...storageFaults, ...taskFaults];

/** By its name; exit 2 with the list of names when there is none such. */
export function findFault(name: string): Fault {
  const fault = faults.find((one) => one.name === name);
  if (fault) return fault;
  throw new CliError('UnknownFault', `There is no fault named ${name}.`, {
    exit: exitCode.usage,
    intact: 'Nothing was started.',
    tryNext: `Choose one of: ${faults.map((one) => one.name).join(', ')}.`,
  });
}

/** Injects the fault, runs the workflow that meets it, and looks at everything that it must have left, or not left. */
export async function runFault(rehearsal: Rehearsal, fault: Fault): Promise<{ run: WorkflowRun; result: FaultResult }> {
  const keysBefore = await keysOf(rehearsal);
  const injection = await fault.inject(rehearsal);
  let run: WorkflowRun;
  try {
    run = await rehearsal.run(fault.workflow);
  } finally {
    await injection.undo();
  }
  const checks = await checkFault(rehearsal, fault, run, keysBefore, injection.struck());
  return {
    run,
    result: {
      name: fault.name,
      summary: fault.summary,
      expectedError: fault.expectedError,
      held: checks.every((check) => check.ok),
      checks,
    },
  };
}
