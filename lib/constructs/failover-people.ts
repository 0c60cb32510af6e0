import { Aws, Stack } from 'aws-cdk-lib';
import { AccountPrincipal, type Role } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { failoverParameterName, keyAlias, personRoleName, stateTableName } from '../config/names.ts';
import { keyByAlias, parameterArn, stateMachineArn, tableArn } from './arns.ts';
import { allow, type Grant, makeRole } from './permissions.ts';

/**
 * Two roles for people: the operator starts and aborts, the approver approves. Neither can do the other's part. Who may
 * assume them is for the account's own policies to say.
 */
export class FailoverPeople extends Construct {
  readonly operator: Role;
  readonly approver: Role;

  constructor(scope: Construct, id: string, { system }: { readonly system: string }) {
    super(scope, id);
    const { region } = Stack.of(this);
    const make = (person: 'operator' | 'approver', description: string) =>
      makeRole(this, person, new AccountPrincipal(Aws.ACCOUNT_ID), description, personRoleName(system, person, region));
    const machines = ['failover', 'failback', 'drill'].map((name) => stateMachineArn(this, system, name));
    const { resources: keys, ...keyConditions } = keyByAlias(this, keyAlias(system));
    const look: Grant[] = [
      {
        actions: ['states:DescribeExecution', 'states:GetExecutionHistory'],
        resources: machines.map((arn) => `${arn.replace(':stateMachine:', ':execution:')}:*`),
        wildcard: 'Executions are named when they start.',
      },
      {
        actions: ['ssm:GetParameter'],
        resources: [parameterArn(this, failoverParameterName(system, '*'))],
        wildcard: 'The settings of every database that fails over: names, no secrets.',
      },
      { actions: ['dynamodb:GetItem'], resources: [tableArn(this, stateTableName(system))] },
      { actions: ['kms:Decrypt'], resources: keys, ...keyConditions },
    ];
    this.operator = make('operator', 'Starts, follows and aborts failovers; cannot approve them');
    allow(
      this.operator,
      ...look,
      { actions: ['states:StartExecution'], resources: machines },
      {
        actions: ['dynamodb:PutItem'],
        resources: [tableArn(this, stateTableName(system))],
        conditions: { 'ForAnyValue:StringLike': { 'dynamodb:LeadingKeys': ['*/role'] } },
      },
    );
    this.approver = make('approver', 'Approves failovers that wait for a person; cannot start them');
    allow(this.approver, ...look, {
      actions: ['states:SendTaskSuccess'],
      resources: machines,
    });
  }
}
