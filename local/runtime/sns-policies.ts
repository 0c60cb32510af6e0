import { parseArn } from './api.ts';

/** As far as AWS's own policy for topics without one lets services in. */
export const defaultPolicy = (arn: string, account: string) => ({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { Service: 'cloudwatch.amazonaws.com' },
      Action: 'sns:Publish',
      Resource: arn,
      Condition: { StringEquals: { 'aws:SourceAccount': account } },
    },
  ],
});

/** The queue of a RedrivePolicy. @throws Error when it names none */
export function deadLetterQueueOf(given: unknown): string | undefined {
  if (given === undefined || given === '') return undefined;
  const arn = (typeof given === 'string' ? JSON.parse(given) : given)?.deadLetterTargetArn;
  if (parseArn(String(arn)).service !== 'sqs') throw new Error('RedrivePolicy: deadLetterTargetArn must be a queue');
  return String(arn);
}
