import { setTimeout as wait } from 'node:timers/promises';
import { PutBucketReplicationCommand, S3Client } from '@aws-sdk/client-s3';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { defineHandler, logger } from './define-handler.ts';

/** A role that was made a moment ago is not yet known everywhere. */
const attempts = 6;
const pauseMs = 5_000;

/**
 * A custom resource: the replication rules of a bucket that was made before those it copies to. CloudFormation waits
 * for the answer at a URL of its own. The rules stay when the resource goes, as the bucket does.
 */
export const handler = defineHandler(async (event: CloudFormationCustomResourceEvent): Promise<void> => {
  const { Region, Bucket, Configuration } = event.ResourceProperties;
  let reason: string | undefined;
  try {
    if (event.RequestType !== 'Delete') await putRules(Region, Bucket, JSON.parse(Configuration));
  } catch (error) {
    logger.error('the rules were not written', error as Error);
    reason = `${Bucket}: ${(error as Error).name}: ${(error as Error).message}`.slice(0, 1000);
  }
  const body = JSON.stringify({
    Status: reason === undefined ? 'SUCCESS' : 'FAILED',
    Reason: reason,
    PhysicalResourceId: `${Bucket}-replication`,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
  });
  // The URL is signed for a request without a content type.
  const answer = await fetch(event.ResponseURL, {
    method: 'PUT',
    body: Buffer.from(body),
    headers: { 'content-type': '' },
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) throw new Error(`CloudFormation did not take the answer: ${answer.status}`);
});

async function putRules(region: string, bucket: string, configuration: object): Promise<void> {
  const s3 = new S3Client({ region });
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await s3.send(
          new PutBucketReplicationCommand({
            Bucket: bucket,
            ReplicationConfiguration: configuration as { Role: string; Rules: [] },
          }),
        );
        return;
      } catch (error) {
        if (attempt === attempts) throw error;
        logger.warn('tries again', { reason: (error as Error).message });
        await wait(pauseMs);
      }
    }
  } finally {
    s3.destroy();
  }
}
