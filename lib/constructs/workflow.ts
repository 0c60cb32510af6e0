import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RemovalPolicy } from 'aws-cdk-lib';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { type CfnStateMachine, DefinitionBody, LogLevel, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { stateMachineName, workflowLogGroup } from '../config/names.ts';
import { acknowledge, allow, type Grant, makeRole } from './permissions.ts';
import { projectRoot } from './project.ts';

export interface WorkflowProps {
  readonly system: string;
  /** Name of the file in state-machines/, without its extension. */
  readonly name: string;
  /** What each `${placeholder}` of the file stands for: all of them, and no others. */
  readonly substitutions: Readonly<Record<string, string>>;
  readonly grants: readonly Grant[];
}

/** One file of state-machines/ as a state machine, with a role and a log of its own. */
export class Workflow extends Construct {
  readonly stateMachine: StateMachine;
  readonly role: Role;

  constructor(scope: Construct, id: string, { system, name, substitutions, grants }: WorkflowProps) {
    super(scope, id);
    this.role = makeRole(this, 'Role', new ServicePrincipal('states.amazonaws.com'), `The steps of ${name}`);
    allow(this.role, ...grants);
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: workflowLogGroup(system, name),
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // From a string, so that the template shows the steps; an asset would hide them.
    const definition = readFileSync(join(projectRoot, 'state-machines', `${name}.asl.json`), 'utf8');
    this.stateMachine = new StateMachine(this, 'StateMachine', {
      stateMachineName: stateMachineName(system, name),
      definitionBody: DefinitionBody.fromString(definition),
      definitionSubstitutions: { ...substitutions },
      role: this.role,
      logs: { destination: logGroup, level: LogLevel.ALL, includeExecutionData: true },
      tracingEnabled: true,
    });
    // The linter's schema has no JSONata in TimeoutSeconds and HeartbeatSeconds; test/peers checks that it finds no more.
    const resource = this.stateMachine.node.defaultChild as CfnStateMachine;
    resource.addMetadata('cfn-lint', { config: { ignore_checks: ['E3601'] } });
    acknowledge(
      this.role,
      'AwsSolutions-IAM5[Resource::*]',
      'X-Ray and the delivery of logs (statements that CDK adds) have no resources; for ECS see the conditions.',
    );
  }
}
