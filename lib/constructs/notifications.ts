import { Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { CfnEventInvokeConfig } from 'aws-cdk-lib/aws-lambda';
import { type ITopic, SubscriptionProtocol } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription, LambdaSubscription, UrlSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { notificationDeadLetterQueueName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { secretArn } from './arns.ts';
import { acknowledge } from './permissions.ts';
import { WorkerFunction } from './worker-function.ts';

export interface NotificationsProps {
  readonly system: string;
  readonly key: IKey;
  /** Outcomes and alarms: who is told of one is told of the other. */
  readonly topics: readonly ITopic[];
  readonly notifications: Config['notifications'];
}

/** Who is told: a Slack channel, mailboxes, HTTPS endpoints. */
export class Notifications extends Construct {
  constructor(scope: Construct, id: string, { system, key, topics, notifications }: NotificationsProps) {
    super(scope, id);
    const { slackWebhookSecret, email, https, runbooks } = notifications;
    for (const topic of topics) {
      for (const address of email) topic.addSubscription(new EmailSubscription(address));
      for (const url of https) {
        topic.addSubscription(new UrlSubscription(url, { protocol: SubscriptionProtocol.HTTPS }));
      }
    }
    if (!slackWebhookSecret) return;

    const deadLetters = new Queue(this, 'DeadLetters', {
      queueName: notificationDeadLetterQueueName(system),
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: key,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    acknowledge(deadLetters, 'AwsSolutions-SQS3', 'This is the dead-letter queue.');
    const notify = new WorkerFunction(this, 'Notify', {
      system,
      name: 'notify-slack',
      description: 'Tells Slack of outcomes and alarms',
      timeout: Duration.minutes(1),
      memorySize: 256,
      environment: {
        SLACK_WEBHOOK_SECRET: slackWebhookSecret,
        ...(runbooks && { RUNBOOKS: runbooks }),
      },
      grants: [
        { actions: ['secretsmanager:GetSecretValue'], resources: [secretArn(this, slackWebhookSecret)] },
        { actions: ['sqs:SendMessage'], resources: [deadLetters.queueArn] },
        { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] },
      ],
    });
    // Three calls of up to four attempts each, a minute and two minutes apart; then the message is kept for people.
    new CfnEventInvokeConfig(this, 'AsyncInvoke', {
      functionName: notify.function.functionName,
      qualifier: '$LATEST',
      maximumRetryAttempts: 2,
      maximumEventAgeInSeconds: 6 * 3600,
      destinationConfig: { onFailure: { destination: deadLetters.queueArn } },
    });
    for (const topic of topics) topic.addSubscription(new LambdaSubscription(notify.function));
  }
}
