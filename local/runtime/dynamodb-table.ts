import type { ResourceContext } from '../facade.ts';
import { isTrue, onlyKnown, required } from './properties.ts';

export interface Table {
  readonly name: string;
  readonly region: string;
  readonly arn: string;
  readonly keys: readonly string[];
  readonly timeToLive?: string;
  readonly pointInTimeRecovery: boolean;
  readonly deletionProtection: boolean;
}

const SHARED = [
  'AttributeDefinitions',
  'BillingMode',
  'GlobalSecondaryIndexes',
  'KeySchema',
  'LocalSecondaryIndexes',
  'SSESpecification',
  'TableName',
  'TimeToLiveSpecification',
];
// Encryption, recovery points and table classes change nothing that a caller of this cloud could see.
const TABLE = [
  ...SHARED,
  'ContributorInsightsSpecification',
  'DeletionProtectionEnabled',
  'OnDemandThroughput',
  'PointInTimeRecoverySpecification',
  'ProvisionedThroughput',
  'TableClass',
  'Tags',
  'WarmThroughput',
];
const GLOBAL_TABLE = [...SHARED, 'Replicas', 'WriteOnDemandThroughputSettings', 'WriteProvisionedThroughputSettings'];
const REPLICA = [
  'ContributorInsightsSpecification',
  'DeletionProtectionEnabled',
  'PointInTimeRecoverySpecification',
  'ReadOnDemandThroughputSettings',
  'Region',
  'SSESpecification',
  'TableClass',
  'Tags',
];
const REFUSED = {
  ImportSourceSpecification: 'tables start empty here',
  KinesisStreamSpecification: 'there are no streams of changes here',
  ResourcePolicy: 'tables have no policies of their own here',
  StreamSpecification: 'there are no streams of changes here',
};

/** AWS::DynamoDB::Table: the table, and what CreateTable is told. */
export function readTable(properties: any, context: ResourceContext, account: string) {
  onlyKnown('AWS::DynamoDB::Table', context, properties, TABLE, REFUSED);
  return tableOf('AWS::DynamoDB::Table', properties, properties, context, account);
}

/** AWS::DynamoDB::GlobalTable with the one replica that the stack's own region holds. */
export function readGlobalTable(properties: any, context: ResourceContext, account: string) {
  const type = 'AWS::DynamoDB::GlobalTable';
  onlyKnown(type, context, properties, GLOBAL_TABLE, REFUSED);
  const replicas = required(type, context, properties, 'Replicas') as any[];
  const [own, ...others] = replicas;
  if (others.length > 0 || own?.Region !== context.region)
    throw new Error(
      `${type} ${context.stack}/${context.logicalId}: the local cloud keeps a table in its stack's region only, ` +
        `not in ${replicas.map(({ Region }) => Region).join(', ')}`,
    );
  onlyKnown(`${type} Replica`, context, own, REPLICA, REFUSED);
  return tableOf(type, properties, own, context, account);
}

function tableOf(type: string, properties: any, replica: any, context: ResourceContext, account: string) {
  const name = String(properties.TableName ?? context.generatedName);
  const keySchema = required(type, context, properties, 'KeySchema') as any[];
  const ttl = properties.TimeToLiveSpecification;
  const table: Table = {
    name,
    region: context.region,
    arn: `arn:aws:dynamodb:${context.region}:${account}:table/${name}`,
    keys: keySchema.map(({ AttributeName }) => AttributeName),
    timeToLive: ttl && isTrue(ttl.Enabled) ? ttl.AttributeName : undefined,
    pointInTimeRecovery: isTrue(replica.PointInTimeRecoverySpecification?.PointInTimeRecoveryEnabled),
    deletionProtection: isTrue(replica.DeletionProtectionEnabled),
  };
  const indexes = (list: any[] | undefined) =>
    list?.map(({ IndexName, KeySchema, Projection, ProvisionedThroughput }) => ({
      IndexName,
      KeySchema,
      Projection,
      ...(ProvisionedThroughput && { ProvisionedThroughput: throughput(ProvisionedThroughput) }),
    }));
  const isOnDemand = properties.BillingMode === 'PAY_PER_REQUEST' || type === 'AWS::DynamoDB::GlobalTable';
  if (!isOnDemand) required(type, context, properties, 'ProvisionedThroughput');
  const creation = {
    TableName: name,
    AttributeDefinitions: required(type, context, properties, 'AttributeDefinitions'),
    KeySchema: keySchema,
    GlobalSecondaryIndexes: indexes(properties.GlobalSecondaryIndexes),
    LocalSecondaryIndexes: indexes(properties.LocalSecondaryIndexes),
    BillingMode: isOnDemand ? 'PAY_PER_REQUEST' : 'PROVISIONED',
    ...(!isOnDemand && { ProvisionedThroughput: throughput(properties.ProvisionedThroughput) }),
  };
  return { table, creation };
}

const throughput = ({ ReadCapacityUnits, WriteCapacityUnits }: any) => ({
  ReadCapacityUnits: Number(ReadCapacityUnits),
  WriteCapacityUnits: Number(WriteCapacityUnits),
});
