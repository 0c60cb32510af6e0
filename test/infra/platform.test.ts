import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { flat, type Loose, statements, synthesize } from './assembly.ts';

const assembly = synthesize();
const { template, resources } = assembly;
const regions = ['eu-north-1', 'us-east-1'];
const platform = 'acme-platform-eu-north-1';

describe('the app', () => {
  test('is a platform and a stack for each database, in both regions, for any account', () => {
    expect(Object.fromEntries(assembly.stacks.map(({ name, environment }) => [name, environment]))).toEqual({
      'acme-platform-eu-north-1': 'aws://unknown-account/eu-north-1',
      'acme-orders-eu-north-1': 'aws://unknown-account/eu-north-1',
      'acme-platform-us-east-1': 'aws://unknown-account/us-east-1',
      'acme-orders-us-east-1': 'aws://unknown-account/us-east-1',
    });
  });

  test('deploys the platform of a region before its databases', () => {
    for (const region of regions) {
      const database = assembly.stacks.find(({ name }) => name === `acme-orders-${region}`);
      expect(database?.dependencies).toEqual([`acme-platform-${region}`]);
    }
  });

  test('has stacks that share names and nothing else', () => {
    for (const { template } of assembly.stacks) {
      expect(JSON.stringify(template)).not.toContain('Fn::ImportValue');
      expect(template.Outputs).toBeUndefined();
    }
  });

  test('makes only these types of resources, which the local cloud has to know', () => {
    const types = new Set(
      assembly.stacks.flatMap(({ template }) => Object.values<Loose>(template.Resources).map(({ Type }) => Type)),
    );
    expect([...types].sort()).toEqual([
      'AWS::CloudWatch::Alarm',
      'AWS::CloudWatch::CompositeAlarm',
      'AWS::CloudWatch::Dashboard',
      'AWS::DynamoDB::Table',
      'AWS::EC2::FlowLog',
      'AWS::EC2::RouteTable',
      'AWS::EC2::SecurityGroup',
      'AWS::EC2::SecurityGroupIngress',
      'AWS::EC2::Subnet',
      'AWS::EC2::SubnetRouteTableAssociation',
      'AWS::EC2::VPC',
      'AWS::EC2::VPCEndpoint',
      'AWS::ECS::Cluster',
      'AWS::ECS::TaskDefinition',
      'AWS::IAM::Policy',
      'AWS::IAM::Role',
      'AWS::KMS::Alias',
      'AWS::KMS::Key',
      'AWS::Lambda::EventInvokeConfig',
      'AWS::Lambda::Function',
      'AWS::Lambda::Permission',
      'AWS::Logs::LogGroup',
      'AWS::S3::Bucket',
      'AWS::S3::BucketPolicy',
      'AWS::SNS::Subscription',
      'AWS::SNS::Topic',
      'AWS::SNS::TopicPolicy',
      'AWS::SQS::Queue',
      'AWS::SQS::QueuePolicy',
      'AWS::SSM::Parameter',
      'AWS::Scheduler::Schedule',
      'AWS::Scheduler::ScheduleGroup',
      'AWS::StepFunctions::StateMachine',
      'Custom::BucketReplication',
    ]);
  });

  test('grows by databases, not by the platform', () => {
    const names = Array.from({ length: 12 }, (_, i) => `db-${i}`);
    const databases = names.map((name) => ({ name, version: 17 as const, primary: { secret: `${name}/primary` } }));
    const fleet = synthesize({ databases });
    expect(fleet.stacks).toHaveLength(2 + 2 * names.length);
    expect(fleet.template(platform)).toEqual(template(platform));
    expect(Object.keys(fleet.template('acme-db-3-eu-north-1').Resources).length).toBeLessThan(40);
  });
});

describe.each(regions)('the platform in %s', (region) => {
  const stack = `acme-platform-${region}`;

  test('keeps backups locked, versioned, encrypted, private and logged', () => {
    const [logs, backups] = resources(stack, 'AWS::S3::Bucket');
    expect(flat(backups.Properties.BucketName)).toBe(`acme-pgdr-backups-<AWS::AccountId>-${region}`);
    expect(backups).toMatchObject({
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        ObjectLockEnabled: true,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } },
        },
        VersioningConfiguration: { Status: 'Enabled' },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' } },
          ],
        },
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
        LoggingConfiguration: { LogFilePrefix: 'backups/' },
      },
    });
    expect(backups.Properties.LifecycleConfiguration.Rules).toEqual([
      {
        Id: 'abort-incomplete-uploads',
        Status: 'Enabled',
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
      },
      {
        Id: 'expire-deleted-versions',
        Status: 'Enabled',
        NoncurrentVersionExpiration: { NoncurrentDays: 30 },
        ExpiredObjectDeleteMarker: true,
      },
      {
        Id: 'archive-what-outlives-the-dailies',
        Status: 'Enabled',
        Transitions: [{ StorageClass: 'GLACIER_IR', TransitionInDays: 31 }],
      },
    ]);
    expect(flat(logs.Properties.BucketName)).toBe(`acme-pgdr-access-logs-<AWS::AccountId>-${region}`);
    for (const bucket of [logs, backups]) {
      expect(Object.values(bucket.Properties.PublicAccessBlockConfiguration)).toEqual([true, true, true, true]);
    }
  });

  test('copies every version to the recovery region, deletions aside, under the key there', () => {
    const other = region === 'eu-north-1' ? 'us-east-1' : 'eu-north-1';
    const [, backups] = resources(stack, 'AWS::S3::Bucket');
    const replication = backups.Properties.ReplicationConfiguration;
    // S3 refuses to copy to a bucket that is not there: the one that is made first gets its rules from the other's stack.
    if (region !== 'eu-north-1') {
      expect(replication).toBeUndefined();
      const [{ Properties }] = resources('acme-platform-eu-north-1', 'Custom::BucketReplication');
      expect([Properties.Region, flat(Properties.Bucket)]).toEqual([
        region,
        `acme-pgdr-backups-<AWS::AccountId>-${region}`,
      ]);
      const back = JSON.parse(flat(Properties.Configuration));
      expect(back.Role).toBe(`arn:aws:iam::<AWS::AccountId>:role/acme-pgdr-replication-${region}`);
      expect(back.Rules).toMatchObject([
        { ID: `to-${other}`, Destination: { Bucket: `arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-${other}` } },
      ]);
      return;
    }
    expect(replication.Rules).toMatchObject([
      {
        Status: 'Enabled',
        Filter: { Prefix: '' },
        DeleteMarkerReplication: { Status: 'Disabled' },
        SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
        Destination: {
          ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
          Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
        },
      },
    ]);
    const [{ Destination }] = replication.Rules;
    expect(flat(Destination.Bucket)).toBe(`arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-${other}`);
    expect(flat(Destination.EncryptionConfiguration.ReplicaKmsKeyID)).toBe(
      `arn:aws:kms:${other}:<AWS::AccountId>:alias/acme-pgdr`,
    );
    const allowed = statements(assembly.template(stack)).flatMap(({ actions }) => actions);
    expect(allowed).not.toContain('s3:ReplicateDelete');
  });

  test('answers over TLS 1.2 and newer only', () => {
    for (const { Properties } of resources(stack, 'AWS::S3::BucketPolicy')) {
      const denied = Properties.PolicyDocument.Statement.filter(({ Effect }: Loose) => Effect === 'Deny');
      expect(denied.map(({ Condition }: Loose) => Condition)).toEqual([
        { Bool: { 'aws:SecureTransport': 'false' } },
        { NumericLessThan: { 's3:TlsVersion': 1.2 } },
      ]);
    }
    for (const type of ['AWS::SNS::TopicPolicy', 'AWS::SQS::QueuePolicy']) {
      expect(JSON.stringify(resources(stack, type))).toContain('"aws:SecureTransport":"false"');
    }
  });

  test('has one key that rotates and outlives the stack', () => {
    const keys = resources(stack, 'AWS::KMS::Key');
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatchObject({ DeletionPolicy: 'Retain', Properties: { EnableKeyRotation: true } });
    expect(resources(stack, 'AWS::KMS::Alias')[0].Properties.AliasName).toBe('alias/acme-pgdr');
    for (const type of ['AWS::SNS::Topic', 'AWS::SQS::Queue']) {
      expect(flat(resources(stack, type)[0].Properties.KmsMasterKeyId)).toMatch(/^<VaultKey\w+\.Arn>$/);
    }
  });

  test('runs functions on Node 24 and ARM, each with its own log that ends', () => {
    const functions = resources(stack, 'AWS::Lambda::Function').map(({ Properties }) => Properties);
    expect(functions.map(({ FunctionName }) => FunctionName).sort()).toEqual([
      'acme-audit-wal',
      'acme-confirm-verification',
      'acme-notify-slack',
      'acme-plan-retention',
      'acme-plan-verification',
      'acme-publish-posture',
      'acme-record-outcome',
      'acme-remove-expired',
      ...(region === 'eu-north-1' ? ['acme-replicate-back'] : []),
      'acme-verify-objects',
    ]);
    expect(new Set(functions.map(({ Role }) => flat(Role))).size).toBe(functions.length);
    expect(new Set(functions.map(({ LoggingConfig }) => flat(LoggingConfig.LogGroup))).size).toBe(functions.length);
    for (const properties of functions) {
      expect(properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'], Handler: 'index.handler' });
      expect(properties.TracingConfig).toEqual({ Mode: 'Active' });
    }
    for (const { Properties } of resources(stack, 'AWS::Logs::LogGroup')) {
      expect(Properties.RetentionInDays).toBeGreaterThan(0);
    }
  });

  test('describes tasks without a role of their own', () => {
    const [task, ...others] = resources(stack, 'AWS::ECS::TaskDefinition').map(({ Properties }) => Properties);
    expect(others).toEqual([]);
    expect(task).toMatchObject({
      Family: 'acme-pgdr-pg17',
      RequiresCompatibilities: ['FARGATE'],
      RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
      ContainerDefinitions: [
        {
          Name: 'task',
          EntryPoint: ['node', 'tasks/main.ts'],
          ReadonlyRootFilesystem: true,
          MountPoints: [{ ContainerPath: '/work', SourceVolume: 'work' }],
        },
      ],
    });
    expect(task).not.toHaveProperty('TaskRoleArn');
  });

  test('has private subnets whose only ways out are endpoints', () => {
    expect(resources(stack, 'AWS::EC2::Subnet')).toHaveLength(2);
    const services = resources(stack, 'AWS::EC2::VPCEndpoint').map(({ Properties }) =>
      flat(Properties.ServiceName).replace('<AWS::Region>', region),
    );
    expect(services.sort()).toEqual(
      ['dynamodb', 'ecr.api', 'ecr.dkr', 'logs', 's3', 'secretsmanager', 'states'].map(
        (name) => `com.amazonaws.${region}.${name}`,
      ),
    );
    const [tasks] = resources(stack, 'AWS::EC2::SecurityGroup').map(({ Properties }) => Properties);
    expect(tasks.SecurityGroupEgress.map(({ FromPort }: Loose) => FromPort)).toEqual([443, 5432]);
    expect(tasks.SecurityGroupIngress).toBeUndefined();
  });
});

describe.each(regions)('the table of leases in %s', (region) => {
  test('is encrypted, can be recovered, and outlives its stack: epochs never start anew', () => {
    const [table, ...others] = resources(`acme-platform-${region}`, 'AWS::DynamoDB::Table');
    expect(others).toEqual([]);
    expect(table).toMatchObject({
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        TableName: 'acme-pgdr-state',
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: expect.anything() },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      },
    });
  });
});

describe('state machines', () => {
  const machines = resources(platform, 'AWS::StepFunctions::StateMachine').map(({ Properties }) => Properties);

  test.each(['backup-logical', 'backup-physical', 'restore-test'])(
    '%s has a substitution for each placeholder and no other',
    (name) => {
      const machine = machines.find(({ StateMachineName }) => StateMachineName === `acme-${name}`);
      const text = readFileSync(new URL(`../../state-machines/${name}.asl.json`, import.meta.url), 'utf8');
      expect(machine.DefinitionString).toBe(text);
      const placeholders = new Set([...text.matchAll(/\$\{(\w+)\}/g)].map(([, key]) => key));
      expect(Object.keys(machine.DefinitionSubstitutions).sort()).toEqual([...placeholders].sort());
    },
  );

  test('are logged and traced', () => {
    for (const machine of machines) {
      expect(machine.LoggingConfiguration).toMatchObject({ Level: 'ALL', IncludeExecutionData: true });
      expect(machine.TracingConfiguration).toEqual({ Enabled: true });
    }
  });
});

describe('options', () => {
  test('a stricter lock', () => {
    const strict = synthesize({ retention: { lock: { mode: 'COMPLIANCE', duration: '90 days' } } });
    expect(strict.resources(platform, 'AWS::S3::Bucket')[1].Properties.ObjectLockConfiguration.Rule).toEqual({
      DefaultRetention: { Mode: 'COMPLIANCE', Days: 90 },
    });
  });

  test('no Slack: neither its function nor its subscription, and others are told of outcomes and alarms alike', () => {
    const told = { email: ['dr@example.com'], https: ['https://pager.example.com/pgdr'] };
    const quiet = synthesize({ notifications: told });
    const subscriptions = quiet.resources(platform, 'AWS::SNS::Subscription').map(({ Properties }) => Properties);
    expect(subscriptions.map(({ Protocol, Endpoint }) => `${Protocol} ${Endpoint}`).sort()).toEqual([
      ...['email dr@example.com', 'email dr@example.com'],
      ...['https https://pager.example.com/pgdr', 'https https://pager.example.com/pgdr'],
    ]);
    expect(new Set(subscriptions.map(({ TopicArn }) => flat(TopicArn))).size).toBe(2);
    expect(JSON.stringify(quiet.template(platform))).not.toContain('notify-slack');
    expect(JSON.stringify(quiet.template(platform))).not.toContain('notification-dead-letters');
  });

  test('an image for each major in use, those of restore tests too', () => {
    const secret = { secret: 's' };
    const mixed = synthesize({
      databases: [
        { name: 'a', version: 15, primary: secret },
        { name: 'b', version: 18, primary: secret },
        { name: 'c', version: 15, primary: secret, restoreTest: { version: 17 } },
      ],
    });
    const families = mixed.resources(platform, 'AWS::ECS::TaskDefinition').map(({ Properties }) => Properties.Family);
    expect(families).toEqual(['acme-pgdr-pg15', 'acme-pgdr-pg17', 'acme-pgdr-pg18']);
  });

  test('an existing VPC, with a security group made or given', () => {
    const vpc = { vpcId: 'vpc-0123abcd', subnetIds: ['subnet-0123abcd', 'subnet-4567abcd'] };
    const imported = synthesize({
      network: {
        primary: vpc,
        recovery: { ...vpc, securityGroupId: 'sg-0123abcd', assignPublicIp: true },
        databasePorts: [6432],
      },
    });
    expect(imported.resources(platform, 'AWS::EC2::VPC')).toEqual([]);
    const [group] = imported.resources(platform, 'AWS::EC2::SecurityGroup');
    expect(group.Properties.SecurityGroupEgress.map(({ FromPort }: Loose) => FromPort)).toEqual([443, 6432]);
    const other = 'acme-platform-us-east-1';
    expect(imported.resources(other, 'AWS::EC2::SecurityGroup')).toEqual([]);
    const [machine] = imported.resources(other, 'AWS::StepFunctions::StateMachine');
    expect(machine.Properties.DefinitionSubstitutions).toMatchObject({
      SubnetIds: 'subnet-0123abcd,subnet-4567abcd',
      SecurityGroup: 'sg-0123abcd',
      AssignPublicIp: 'ENABLED',
    });
  });

  test('tags on what can be tagged', () => {
    const tagged = synthesize({ tags: { team: 'platform' } });
    for (const bucket of tagged.resources(platform, 'AWS::S3::Bucket')) {
      expect(bucket.Properties.Tags).toContainEqual({ Key: 'team', Value: 'platform' });
    }
  });
});

test('no function may do more than its work', () => {
  const own = statements(template(platform)).filter(({ policy }) =>
    /Function|Notif|Posture|Verification|VerifyObjects|Outcome|WalAudit/.test(policy),
  );
  const actions = new Map<string, Set<string>>();
  for (const { policy, actions: allowed } of own) {
    const name = policy.replace(/^Workflows|RoleDefaultPolicy.*$/g, '');
    actions.set(name, new Set([...(actions.get(name) ?? []), ...allowed.filter((a) => !/^(logs|xray):/.test(a))]));
  }
  const read = ['kms:Decrypt', 's3:GetObject', 's3:ListBucket'];
  expect(Object.fromEntries([...actions].map(([name, set]) => [name, [...set].sort()]))).toEqual({
    PlanVerification: read,
    VerifyObjects: [...read, 's3:GetObjectVersion'].sort(),
    ConfirmVerification: [...read, 'kms:GenerateDataKey', 's3:PutObject'].sort(),
    RecordOutcome: [],
    WalAuditFunction: [
      ...read,
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      's3:ListBucketVersions',
      'ssm:GetParameter',
    ].sort(),
    NotificationsNotify: ['kms:Decrypt', 'kms:GenerateDataKey', 'secretsmanager:GetSecretValue', 'sqs:SendMessage'],
    PosturePublish: [...read, 'cloudwatch:PutMetricData', 'ecs:DescribeTaskDefinition', 'ssm:GetParameter'].sort(),
  });
});
