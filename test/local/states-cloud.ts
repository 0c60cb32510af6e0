import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Execution } from '../../local/asl/executions.ts';
import type { ResourceContext } from '../../local/facade.ts';
import { createStates, type States } from '../../local/facades/states.ts';
import { type Host, startHost } from '../../local/host.ts';
import { machine, type States as StateDefinitions } from './asl-machines.ts';

/** A cloud with Step Functions and what a test adds to it, spoken to over HTTP by the machines' tasks. */

export const region = 'eu-west-1';
export const roleArn = 'arn:aws:iam::111122223333:role/machine';
export const asAdministrator = { region, principal: { arn: 'arn:aws:iam::111122223333:root' }, requestId: 'r' };

export interface StatesCloud {
  readonly host: Host;
  readonly states: States;
  readonly directory: string;
  about(logicalId: string): ResourceContext;
  /** Makes a state machine; returns its ARN. */
  make(definition: StateDefinitions | string, properties?: Record<string, unknown>): Promise<string>;
  /** Makes a state machine and starts it; returns the execution's ARN. */
  begin(definition: StateDefinitions | string, input?: unknown): Promise<string>;
  /** The same, up to the execution's end. */
  finish(definition: StateDefinitions | string, input?: unknown): Promise<Execution>;
  close(): Promise<void>;
}

export async function startStatesCloud(): Promise<StatesCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'states-'));
  const host = await startHost({ directory, regions: [region] });
  const states = host.add(createStates(host.world));
  let made = 0;
  const about = (logicalId: string): ResourceContext => ({
    region,
    stack: 'Stack',
    logicalId,
    generatedName: `Stack-${logicalId}-${++made}`,
    assembly: directory,
  });
  const make: StatesCloud['make'] = async (definition, properties = {}) => {
    const DefinitionString = typeof definition === 'string' ? definition : machine(definition);
    const maker = states.resources?.['AWS::StepFunctions::StateMachine'];
    return String((await maker?.({ RoleArn: roleArn, DefinitionString, ...properties }, about('Machine')))?.ref);
  };
  const begin: StatesCloud['begin'] = async (definition, input = {}) => {
    const request = { stateMachineArn: await make(definition), input: JSON.stringify(input) };
    const started = await states.operations?.StartExecution?.(request, asAdministrator);
    return (started as { executionArn: string }).executionArn;
  };
  return {
    host,
    states,
    directory,
    about,
    make,
    begin,
    finish: async (definition, input) => states.ended(await begin(definition, input)),
    close: async () => {
      await host.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A machine of one task. */
export const task = (Resource: string, Arguments: unknown, more: Record<string, unknown> = {}): StateDefinitions => ({
  Do: { Type: 'Task', Resource, Arguments, End: true, ...more },
});
