import { ArnFormat, CfnParameter, Duration, Stack } from 'aws-cdk-lib';
import { CfnRule } from 'aws-cdk-lib/aws-events';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { securityGroupParameterName, subnetsParameterName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { secretArn } from './arns.ts';
import type { BackupVaultOfAws } from './aws-backup.ts';
import { allow, makeRole } from './permissions.ts';
import { WorkerFunction } from './worker-function.ts';
import { Workflow } from './workflow.ts';

export interface RestoreValidationProps {
  readonly config: Config;
  readonly vault: BackupVaultOfAws;
}

/** Looks at every RDS server that restore testing has restored, and tells AWS Backup what it found. */
export class RestoreValidation extends Construct {
  constructor(scope: Construct, id: string, { config, vault }: RestoreValidationProps) {
    super(scope, id);
    const { name: system } = config;
    const { partition, region, account } = Stack.of(this);
    const databases = config.databases
      .filter(({ engine }) => engine === 'rds')
      .map(({ name, primary, restoreTest }) => ({
        database: name,
        secret: primary.secret,
        assertions: restoreTest.assertions,
      }));
    const parameter = (key: string, type: string, path: string) =>
      new CfnParameter(this, key, { type: `AWS::SSM::Parameter::Value<${type}>`, default: path });
    const check = new WorkerFunction(this, 'Check', {
      system,
      name: 'check-restored',
      description: 'Looks at a server that AWS Backup has restored for a test',
      timeout: Duration.minutes(15),
      memorySize: 512,
      environment: { DATABASES: JSON.stringify(databases) },
      network: {
        subnetIds: parameter('Subnets', 'List<String>', subnetsParameterName(system)).valueAsList,
        securityGroupId: parameter('SecurityGroup', 'String', securityGroupParameterName(system)).valueAsString,
      },
      grants: databases.map(({ secret }) => ({
        actions: ['secretsmanager:GetSecretValue'],
        resources: [secretArn(this, secret)],
        wildcard: 'Secrets Manager ends its ARNs in six characters of its own.',
      })),
    });
    const workflow = new Workflow(this, 'Workflow', {
      system,
      name: 'validate-restore',
      substitutions: { BackupVault: vault.name, CheckRestored: check.function.functionArn },
      grants: [
        { actions: ['lambda:InvokeFunction'], resources: [check.function.functionArn] },
        {
          actions: ['backup:DescribeRestoreJob', 'backup:PutRestoreValidationResult'],
          resources: ['*'],
          wildcard: 'Restore jobs have no ARN that a policy could name.',
        },
        {
          actions: ['backup:DescribeRecoveryPoint'],
          resources: [
            `arn:${partition}:rds:${region}:${account}:snapshot:awsbackup:*`,
            `arn:${partition}:backup:${region}:${account}:recovery-point:*`,
          ],
          wildcard: 'AWS Backup names recovery points by itself.',
        },
        {
          actions: ['rds:DescribeDBInstances'],
          resources: [`arn:${partition}:rds:${region}:${account}:db:*`],
          wildcard: 'Restore testing names what it restores by itself.',
        },
      ],
    });
    const starter = makeRole(
      this,
      'Starter',
      new ServicePrincipal('events.amazonaws.com'),
      'EventBridge: starts the validation of a restore',
    );
    allow(starter, { actions: ['states:StartExecution'], resources: [workflow.stateMachine.stateMachineArn] });
    new CfnRule(this, 'Finished', {
      description: 'A restore job of restore testing is done: is what it restored sound?',
      eventPattern: {
        source: ['aws.backup'],
        'detail-type': ['Restore Job State Change'],
        detail: {
          status: ['COMPLETED'],
          resourceType: ['RDS'],
          restoreTestingPlanArn: [
            {
              prefix: Stack.of(this).formatArn({
                service: 'backup',
                resource: 'restore-testing-plan',
                resourceName: `${system}_restores-`,
                arnFormat: ArnFormat.COLON_RESOURCE_NAME,
              }),
            },
          ],
        },
      },
      targets: [
        {
          id: 'validate',
          arn: workflow.stateMachine.stateMachineArn,
          roleArn: starter.roleArn,
          inputTransformer: {
            inputPathsMap: { job: '$.detail.restoreJobId' },
            inputTemplate: '{"restoreJobId": <job>}',
          },
        },
      ],
    });
  }
}
