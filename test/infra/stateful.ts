import type { Assembly, Loose } from './assembly.ts';

/** What would be lost, or lose its history, if CloudFormation made it anew. */

/** By type, the properties whose change makes CloudFormation replace a resource, by its reference. */
const replacing: Readonly<Record<string, readonly string[]>> = {
  'AWS::S3::Bucket': ['BucketName', 'ObjectLockEnabled'],
  'AWS::KMS::Key': ['KeySpec', 'KeyUsage', 'MultiRegion', 'Origin'],
  'AWS::KMS::ReplicaKey': ['PrimaryKeyArn'],
  'AWS::KMS::Alias': ['AliasName'],
  'AWS::DynamoDB::Table': ['TableName', 'KeySchema', 'LocalSecondaryIndexes'],
  'AWS::SNS::Topic': ['TopicName', 'FifoTopic'],
  'AWS::SQS::Queue': ['QueueName', 'FifoQueue'],
  'AWS::Logs::LogGroup': ['LogGroupName'],
};

/** Stack → logical id → what decides over its fate. */
export type Baseline = Record<string, Record<string, Loose>>;

export function statefulResources({ stacks }: Assembly): Baseline {
  const found: Baseline = {};
  for (const { name, template } of stacks) {
    for (const [id, { Type, Properties, DeletionPolicy, UpdateReplacePolicy }] of Object.entries<Loose>(
      template.Resources,
    )) {
      const keys = replacing[Type];
      if (!keys) continue;
      const fixed = Object.fromEntries(
        keys.filter((key) => Properties?.[key] !== undefined).map((key) => [key, Properties[key]]),
      );
      found[name] = {
        ...found[name],
        // What CloudFormation does with the old one when it goes after all.
        [id]: { Type, DeletionPolicy, UpdateReplacePolicy, ...fixed },
      };
    }
  }
  return JSON.parse(JSON.stringify(found)) as Baseline;
}
