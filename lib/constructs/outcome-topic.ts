import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { outcomeTopicName } from '../config/names.ts';
import type { Grant } from './permissions.ts';

/** Where every workflow says how it ended. */
export class OutcomeTopic extends Construct {
  readonly topic: Topic;
  /** What a publisher needs. */
  readonly publish: readonly Grant[];

  constructor(scope: Construct, id: string, { system, key }: { readonly system: string; readonly key: IKey }) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', { topicName: outcomeTopicName(system), masterKey: key, enforceSSL: true });
    this.publish = [
      { actions: ['sns:Publish'], resources: [this.topic.topicArn] },
      { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] },
    ];
  }
}
