import { GetBucketVersioningCommand, GetObjectLockConfigurationCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { GetScheduleCommand, type SchedulerClient } from '@aws-sdk/client-scheduler';
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { GetQueueAttributesCommand, GetQueueUrlCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand, type STSClient } from '@aws-sdk/client-sts';
import { z } from 'zod';
import { type AccountFacts, bootstrapParameter, type SecretFacts } from '../../core/doctor/account.ts';
import type { BucketFacts, ScheduleFacts } from '../../core/doctor/deployment.ts';
import { PgdrError } from '../../core/errors.ts';
import { parseConnection } from '../../postgres/connection.ts';
import type { Clients } from '../clients.ts';

/** What `pgdr doctor` reads of AWS. Nothing is changed. What is not there is an answer; other errors are thrown. */

const named = (error: unknown, ...names: string[]): boolean => names.includes((error as Error).name);

export async function readIdentity(sts: STSClient): Promise<Omit<AccountFacts, 'deployedAccount'>> {
  try {
    const { Account, Arn } = await sts.send(new GetCallerIdentityCommand({}));
    return { identity: { account: Account as string, arn: Arn as string } };
  } catch (error) {
    return { identity: undefined, identityProblem: `${(error as Error).name}: ${(error as Error).message}` };
  }
}

/** Text of a parameter; undefined when there is none. */
export async function readParameter({ ssm }: Clients, name: string): Promise<string | undefined> {
  try {
    return (await ssm.send(new GetParameterCommand({ Name: name }))).Parameter?.Value;
  } catch (error) {
    if (named(error, 'ParameterNotFound')) return undefined;
    throw error;
  }
}

export async function readBootstrap(clients: Clients): Promise<number | undefined> {
  const text = await readParameter(clients, bootstrapParameter);
  return text === undefined ? undefined : Number(text);
}

const slackShape = z.object({ url: z.url() });

/** The value is looked at here and leaves this function as a judgement alone, or as a connection for the checks. */
export async function readSecretFacts(
  { secrets, region }: Clients,
  name: string,
  kind: SecretFacts['kind'],
  neededNow: boolean,
): Promise<{ facts: SecretFacts; text: string | undefined }> {
  const common = { region, name, kind, neededNow };
  let text: string | undefined;
  try {
    text = (await secrets.send(new GetSecretValueCommand({ SecretId: name }))).SecretString;
  } catch (error) {
    if (named(error, 'ResourceNotFoundException'))
      return { facts: { ...common, exists: false, problem: undefined }, text: undefined };
    const problem = `cannot be read: ${(error as Error).name}`;
    return { facts: { ...common, exists: true, problem }, text: undefined };
  }
  const problem = kind === 'database' ? connectionProblem(text ?? '', name) : slackProblem(text ?? '');
  return { facts: { ...common, exists: true, problem }, text: problem === undefined ? text : undefined };
}

function connectionProblem(text: string, name: string): string | undefined {
  try {
    parseConnection(text, name);
    return undefined;
  } catch (error) {
    return error instanceof PgdrError ? error.message : 'not readable';
  }
}

function slackProblem(text: string): string | undefined {
  try {
    return slackShape.safeParse(JSON.parse(text)).success ? undefined : 'wrong or missing: url';
  } catch {
    return 'it is not JSON';
  }
}

export async function readBucket(
  { s3, region }: Clients,
  bucket: string,
  wanted: BucketFacts['wanted'],
): Promise<BucketFacts> {
  const common = { region, bucket, wanted };
  try {
    await s3.send(new HeadBucketCommand({ Bucket: bucket }));
  } catch (error) {
    // A bucket of another account with the name answers 403: not ours either way.
    if (!named(error, 'NotFound', 'NoSuchBucket', 'Forbidden', '403', 'AccessDenied')) throw error;
    return { ...common, exists: false, versioning: false, lock: undefined };
  }
  const { Status } = await s3.send(new GetBucketVersioningCommand({ Bucket: bucket }));
  return { ...common, exists: true, versioning: Status === 'Enabled', lock: await readLock(s3, bucket) };
}

async function readLock(s3: Clients['s3'], bucket: string): Promise<BucketFacts['lock']> {
  try {
    const { ObjectLockConfiguration } = await s3.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }));
    const { Mode, Days, Years } = ObjectLockConfiguration?.Rule?.DefaultRetention ?? {};
    return Mode === undefined ? undefined : { mode: Mode, days: Days ?? (Years ?? 0) * 365 };
  } catch (error) {
    if (named(error, 'ObjectLockConfigurationNotFoundError')) return undefined;
    throw error;
  }
}

export async function readScheduleState(
  scheduler: SchedulerClient,
  group: string,
  name: string,
): Promise<ScheduleFacts['state']> {
  try {
    return (await scheduler.send(new GetScheduleCommand({ GroupName: group, Name: name }))).State;
  } catch (error) {
    if (named(error, 'ResourceNotFoundException')) return undefined;
    throw error;
  }
}

/** Messages that wait in a queue, or are being looked at; undefined when there is no such queue. */
export async function countMessages(sqs: SQSClient, name: string): Promise<number | undefined> {
  try {
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
    const { Attributes = {} } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    return Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible);
  } catch (error) {
    if (named(error, 'QueueDoesNotExist', 'AWS.SimpleQueueService.NonExistentQueue')) return undefined;
    throw error;
  }
}
