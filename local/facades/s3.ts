import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Accounts } from '../accounts.ts';
import { AwsError, type CallContext, type Facade, type ResourceContext, type World } from '../facade.ts';
import type { MetricSample } from '../runtime/metric.ts';
import { hideAbsence, permissionsOf } from './s3/access.ts';
import { restoreObject } from './s3/archive.ts';
import { drain, receiveDocument } from './s3/body.ts';
import * as bucketChanges from './s3/buckets.ts';
import { completeMultipartUpload } from './s3/complete.ts';
import * as configuration from './s3/configuration.ts';
import { refuseUnsupportedHeaders } from './s3/description.ts';
import { startLifecycle } from './s3/lifecycle.ts';
import * as list from './s3/list.ts';
import * as lock from './s3/lock.ts';
import { type Bucket, type Call, s3Error } from './s3/model.ts';
import * as multipart from './s3/multipart.ts';
import { uploadPartCopy } from './s3/part-copy.ts';
import * as read from './s3/read.ts';
import { type DeleteRequest, deleteObject, deleteObjects, deleteRequestOf } from './s3/remove.ts';
import { type Replication, startReplication } from './s3/replication.ts';
import { assertDestinations } from './s3/replication-rules.ts';
import { bucketNameOf, configurationOf, madeBucket, makeBucketPolicy } from './s3/resources.ts';
import { type Route, routeOf, type Target, targetOf } from './s3/route.ts';
import { dataFile } from './s3/store.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './s3/tagging.ts';
import { current, findVersion } from './s3/versions.ts';
import { copyObject, putObject } from './s3/write.ts';
import { answerError, fromXml } from './s3/xml.ts';

export interface S3 extends Facade {
  readonly http: NonNullable<Facade['http']>;
  readonly resources: NonNullable<Facade['resources']>;
  /** The file that holds an object's bytes, the current version's where none is named. */
  locate(bucket: string, key: string, versionId?: string): string | undefined;
  bucketOf(name: string): Bucket | undefined;
  /** The document of a bucket's AWS::S3::BucketPolicy. */
  policyOf(bucket: string): unknown;
  /** Copies to other buckets: how long they take, and how many are to be made. */
  readonly replication: Pick<Replication, 'lagMs' | 'backlog'>;
  /** Settles when lifecycle rules that were due have been carried out, and every copy has been made. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface S3Options {
  /** Told of the metrics of replication rules. */
  readonly onMetric?: (sample: MetricSample) => void;
  /** Whose buckets can be copied to beside this account's. */
  readonly accounts?: Accounts;
}

/** S3 with its bytes on disk below `<world.directory>/s3`; it outlives the process and is adopted by the next one. */
export function createS3(world: World, { onMetric = () => {}, accounts }: S3Options = {}): S3 {
  const root = join(world.directory, 's3');
  const replication = startReplication(world, (name) => buckets.destination(name), onMetric);
  const buckets = bucketChanges.openBuckets(root, world, replication, (name) => {
    for (const other of accounts?.others(world.account) ?? []) {
      const bucket = other.bucketOf(name);
      if (bucket) return { bucket, world: other.world };
    }
    return undefined;
  });
  const lifecycle = startLifecycle(world, buckets);

  const operations: Record<string, (call: Call) => Promise<void> | void> = {
    ...configuration.operations,
    ...bucketChanges.operations,
    ListBuckets: (call) => configuration.listBuckets(call, buckets.values()),
    ListObjects: list.listObjects,
    ListObjectsV2: list.listObjectsV2,
    ListObjectVersions: list.listObjectVersions,
    ListMultipartUploads: list.listMultipartUploads,
    ListParts: list.listParts,
    GetObject: read.getObject,
    HeadObject: read.headObject,
    GetObjectAttributes: read.getObjectAttributes,
    PutObject: putObject,
    CopyObject: copyObject,
    DeleteObject: deleteObject,
    CreateMultipartUpload: multipart.createMultipartUpload,
    UploadPart: multipart.uploadPart,
    UploadPartCopy: uploadPartCopy,
    CompleteMultipartUpload: completeMultipartUpload,
    AbortMultipartUpload: multipart.abortMultipartUpload,
    GetObjectLockConfiguration: lock.getObjectLockConfiguration,
    GetObjectRetention: lock.getObjectRetention,
    PutObjectRetention: lock.putObjectRetention,
    GetObjectLegalHold: lock.getObjectLegalHold,
    PutObjectLegalHold: lock.putObjectLegalHold,
    GetObjectTagging: getObjectTagging,
    PutObjectTagging: putObjectTagging,
    DeleteObjectTagging: deleteObjectTagging,
    RestoreObject: restoreObject,
  };

  function anyBucket(name: string): Bucket {
    const bucket = buckets.get(name);
    if (!bucket) throw s3Error('NoSuchBucket', 'The specified bucket does not exist', 404, { BucketName: name });
    return bucket;
  }

  function bucketIn(region: string, name: string): Bucket {
    const bucket = anyBucket(name);
    if (bucket.region === region) return bucket;
    throw s3Error(
      'PermanentRedirect',
      `The bucket ${name} is in ${bucket.region}, but the request was signed for ${region}. Please send all future requests for it signed for ${bucket.region}.`,
      301,
      { Endpoint: `s3.${bucket.region}.amazonaws.com`, Bucket: name },
      { 'x-amz-bucket-region': bucket.region },
    );
  }

  async function carryOut(
    request: IncomingMessage,
    response: ServerResponse,
    context: CallContext,
    target: Target,
  ): Promise<void> {
    const route = routeOf(request, target);
    const call: Call = {
      world,
      context,
      request,
      response,
      bucketName: target.bucket,
      key: target.key,
      query: target.query,
      buckets,
      bucket: () => bucketIn(context.region, target.bucket),
      anyBucket,
      header: (name) => request.headers[name] as string | undefined,
    };
    if (route.operation === 'DeleteObjects') {
      const wanted = deleteRequestOf(fromXml(await receiveDocument(request), 'Delete'));
      await world.authorize(deletionOf(call, route, wanted));
      await deleteObjects(call, wanted);
      return;
    }
    const described = apiCall(call, route);
    await world.authorize({ ...described, needs: permissionsOf(call, route.operation, described) });
    refuseUnsupportedHeaders(call);
    const operation = operations[route.operation];
    if (!operation) throw s3Error('NotImplemented', `${route.operation} is not implemented`, 501);
    try {
      await operation(call);
    } catch (error) {
      throw error instanceof AwsError ? hideAbsence(call, route.operation, error) : error;
    }
  }

  async function http(request: IncomingMessage, response: ServerResponse, context: CallContext): Promise<void> {
    response.setHeader('x-amz-request-id', context.requestId);
    response.setHeader('x-amz-id-2', context.requestId);
    let resource = request.url ?? '/';
    try {
      const target = targetOf(request);
      resource = `/${target.bucket}${target.key && `/${target.key}`}`;
      await carryOut(request, response, context, target);
    } catch (error) {
      // A caller that hung up in the middle has left nothing behind and hears nothing.
      if (request.destroyed && !request.complete) return;
      if (!(error instanceof AwsError)) world.note(`s3: ${request.method} ${resource}: ${(error as Error).stack}`);
      if (response.headersSent) {
        response.destroy();
        return;
      }
      await drain(request);
      const answer =
        error instanceof AwsError
          ? error
          : s3Error('InternalError', `We encountered an internal error. (${(error as Error).message})`, 500);
      answerError(response, answer, context, resource, request.method);
    }
  }

  return {
    service: 's3',
    http,
    resources: {
      'AWS::S3::Bucket': (properties, context: ResourceContext) => {
        const name = bucketNameOf(properties, context);
        if (buckets.has(name)) {
          throw new Error(`AWS::S3::Bucket ${context.logicalId} of stack ${context.stack}: ${name} exists already`);
        }
        const settings = configurationOf(properties, context, world.account);
        try {
          assertDestinations(name, settings, buckets);
        } catch (error) {
          const where = `AWS::S3::Bucket ${context.logicalId} of stack ${context.stack}`;
          throw new Error(`${where}: ${(error as Error).message}`);
        }
        return madeBucket(buckets.create(name, context.region, settings, false));
      },
      'AWS::S3::BucketPolicy': (properties, context) => makeBucketPolicy(properties, context, buckets),
    },
    locate(bucketName, key, versionId) {
      const bucket = buckets.get(bucketName);
      const version = bucket && (versionId === undefined ? current(bucket, key) : findVersion(bucket, key, versionId));
      return bucket && version && dataFile(bucket, version);
    },
    bucketOf: (name) => buckets.get(name),
    policyOf: (name) => buckets.get(name)?.policy,
    accessOf: (arn) => {
      const bucket = buckets.get(arn.replace(/^arn:aws:s3:::/, '').split('/')[0] ?? '');
      return bucket && { policy: bucket.policy };
    },
    replication,
    settled: async () => {
      await lifecycle.settled();
      await replication.settled();
    },
    async close() {
      await lifecycle.close();
      await replication.close();
    },
  };
}

/** The call as it is authorised, its parameters in the API's own names. */
function apiCall(call: Call, route: Route) {
  const { bucketName, key, query, header } = call;
  const partNumber = query.get('partNumber');
  const length = header('x-amz-decoded-content-length') ?? header('content-length');
  const input: Record<string, unknown> = {
    Bucket: bucketName || undefined,
    Key: key || undefined,
    VersionId: query.get('versionId') ?? undefined,
    UploadId: query.get('uploadId') ?? undefined,
    PartNumber: partNumber === null ? undefined : Number(partNumber),
    Prefix: query.get('prefix') ?? undefined,
    Delimiter: query.get('delimiter') ?? undefined,
    MaxKeys: query.has('max-keys') ? Number(query.get('max-keys')) : undefined,
    ContentLength: length === undefined ? undefined : Number(length),
    Range: header('range'),
    IfMatch: header('if-match'),
    IfNoneMatch: header('if-none-match'),
    CopySource: header('x-amz-copy-source'),
    Tagging: header('x-amz-tagging'),
    StorageClass: header('x-amz-storage-class'),
    ServerSideEncryption: header('x-amz-server-side-encryption'),
    SSEKMSKeyId: header('x-amz-server-side-encryption-aws-kms-key-id'),
    ObjectLockMode: header('x-amz-object-lock-mode'),
    ObjectLockRetainUntilDate: header('x-amz-object-lock-retain-until-date'),
    ObjectLockLegalHoldStatus: header('x-amz-object-lock-legal-hold'),
    BypassGovernanceRetention: lock.bypassesGovernance(call) || undefined,
  };
  return {
    service: 's3',
    region: call.context.region,
    operation: route.operation,
    action: query.has('versionId') ? (route.versionAction ?? route.action) : route.action,
    resource: bucketName ? `arn:aws:s3:::${bucketName}${key && `/${key}`}` : '*',
    principal: call.context.principal,
    input: Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)),
  };
}

/** One call deletes many: its resource is what all the keys have in common. */
function deletionOf(call: Call, route: Route, { objects }: DeleteRequest) {
  const versioned = objects.some((object) => object.versionId !== undefined);
  const [first = '', ...others] = objects.map((object) => object.key);
  let common = first.length;
  for (const key of others) while (!key.startsWith(first.slice(0, common))) common--;
  const resource = `arn:aws:s3:::${call.bucketName}/${first.slice(0, common)}${common < first.length || others.length > 0 ? '*' : ''}`;
  const described = apiCall(call, route);
  return {
    ...described,
    action: versioned ? (route.versionAction ?? route.action) : route.action,
    resource,
    // Each key is asked for by itself, and refused by itself.
    needs: [],
    input: {
      ...described.input,
      Delete: { Objects: objects.map(({ key, versionId }) => ({ Key: key, VersionId: versionId })) },
    },
  };
}
