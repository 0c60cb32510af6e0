import { Duration } from 'aws-cdk-lib';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { LambdaSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { secretArn } from './arns.ts';
import { WorkerFunction } from './worker-function.ts';

export interface SlackProps {
  readonly system: string;
  readonly topic: ITopic;
  /** Name of the secret that holds the webhook's URL, in this region. */
  readonly webhookSecret: string;
}

/** Tells a Slack channel of every outcome. */
export class Slack extends Construct {
  constructor(scope: Construct, id: string, { system, topic, webhookSecret }: SlackProps) {
    super(scope, id);
    const notify = new WorkerFunction(this, 'Notify', {
      system,
      name: 'notify-slack',
      description: 'Tells Slack how a workflow ended',
      timeout: Duration.minutes(1),
      memorySize: 256,
      environment: { SLACK_WEBHOOK_SECRET: webhookSecret },
      grants: [{ actions: ['secretsmanager:GetSecretValue'], resources: [secretArn(this, webhookSecret)] }],
    });
    topic.addSubscription(new LambdaSubscription(notify.function));
  }
}
