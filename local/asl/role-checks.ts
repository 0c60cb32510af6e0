import type { World } from '../facade.ts';
import { assumedRoleArn } from '../identity.ts';
import type { Registered } from './state-machines.ts';

/**
 * What Step Functions does as a machine's role beside the machine's own steps. Events reach the log and traces reach
 * nobody without these calls here, but AWS would not log or trace without the permissions.
 */

const logDelivery = [
  'CreateLogDelivery',
  'GetLogDelivery',
  'UpdateLogDelivery',
  'ListLogDeliveries',
  'PutResourcePolicy',
  'DescribeResourcePolicies',
  'DescribeLogGroups',
];
const tracing = ['PutTraceSegments', 'PutTelemetryRecords', 'GetSamplingRules', 'GetSamplingTargets'];

/** Trust, and the delivery of logs, as CreateStateMachine looks at them. @throws Error in AWS's words */
export function checkRole(world: World, machine: Registered): void {
  assertTrusted(world, machine);
  if (machine.logging.level === 'OFF') return;
  for (const operation of logDelivery) {
    const refused = refusalOf(world, machine, `logs:${operation}`);
    if (!refused) continue;
    throw new Error(
      `The state machine IAM Role is not authorized to access the Log Destination: AccessDeniedException: ${refused.message}`,
    );
  }
}

/** @throws AwsError AccessDenied when the role does not trust Step Functions */
export function assertTrusted(world: World, { arn, region, roleArn }: Registered): void {
  world.assertTrusted(roleArn, { service: 'states.amazonaws.com', region, sourceArn: arn });
}

/** An execution of a machine that is traced; what X-Ray refuses does not hold it back. */
export function traceExecution(world: World, machine: Registered): void {
  if (!machine.tracing) return;
  for (const operation of tracing) {
    const refused = refusalOf(world, machine, `xray:${operation}`);
    if (refused) world.note(`states ${machine.name}: an execution is not traced: ${refused.message}`);
  }
}

function refusalOf(world: World, { region, roleArn }: Registered, action: string): Error | undefined {
  const principal = { arn: assumedRoleArn(roleArn, 'StepFunctions'), roleArn };
  return world.refusal({ service: 'states', region, principal }, { action, resource: '*' });
}
