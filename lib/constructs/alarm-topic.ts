import { Aws } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { alarmTopicName } from '../config/names.ts';

/** Where every alarm of the region tells that it went on or off. */
export class AlarmTopic extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, { system, key }: { readonly system: string; readonly key: Key }) {
    super(scope, id);
    this.topic = new Topic(this, 'Alarms', { topicName: alarmTopicName(system), masterKey: key, enforceSSL: true });
    const principals = [new ServicePrincipal('cloudwatch.amazonaws.com')];
    this.topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsPublish',
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        principals,
        conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
      }),
    );
    // CloudWatch publishes as itself, so the key that seals the topic has to be opened for it. The topic's policy says
    // for whose alarms; what CloudWatch asks of the key on its way does not carry the account everywhere.
    key.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsSeal',
        actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
        resources: ['*'],
        principals,
      }),
    );
  }
}
