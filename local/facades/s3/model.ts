import type { IncomingMessage, ServerResponse } from 'node:http';
import { AwsError, type CallContext, type World } from '../../facade.ts';
import type { LifecycleRule } from './lifecycle-rules.ts';
import type { ReplicationConfiguration } from './replication-rules.ts';
import type { Slots } from './slots.ts';

/** What the parts of the S3 facade say to each other. Times are milliseconds since the epoch, sizes are bytes. */

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; a composite one ends in `-<number of parts>`. */
  readonly value: string;
  readonly type: 'COMPOSITE' | 'FULL_OBJECT';
}

export interface Retention {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE';
  readonly until: number;
}

export interface Lock {
  readonly retention?: Retention;
  readonly legalHold?: boolean;
}

export interface Encryption {
  readonly algorithm: string;
  readonly keyArn?: string;
  readonly bucketKey?: boolean;
}

/** What a writer says of an object when it begins to write, by PutObject, CopyObject or CreateMultipartUpload. */
export interface Description {
  /** Response headers kept with the object: content-type, cache-control, x-amz-meta-*, … */
  readonly headers: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly encryption: Encryption;
  readonly lock: Lock;
  /** Absent where there are none. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** As `x-amz-replication-status` tells it: how far copying a version elsewhere is, or that it is such a copy itself. */
export type ReplicationStatus = 'PENDING' | 'COMPLETED' | 'FAILED' | 'REPLICA';

export interface StoredPart {
  readonly number: number;
  readonly size: number;
  readonly checksum?: string;
}

/** One version of an object, or a delete marker (which has no data). Written to disk as it is. */
export interface Version extends Description {
  readonly key: string;
  /** `null` as text where the bucket is not versioned. */
  readonly versionId: string;
  /** Grows with every version written to the bucket: the newest of a key is the current one. */
  readonly sequence: number;
  readonly lastModified: number;
  readonly deleteMarker: boolean;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** Name of the data file beside the metadata. */
  readonly data?: string;
  readonly checksum?: Checksum;
  readonly parts?: readonly StoredPart[];
  readonly replication?: ReplicationStatus;
  /** Of an archived object: the copy that can be read, from and until when. */
  readonly restored?: { readonly from: number; readonly until: number };
}

export interface UploadedPart {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  readonly checksum?: string;
  /** CRC64NVME of a part whose upload named no algorithm: the object's own is made of these. */
  readonly crc64?: string;
  readonly lastModified: number;
  /** Name of the part's file in the upload's folder. */
  readonly data: string;
  /** Where the file is the whole's: the size of its slots, of which this part is in the one of its number. */
  readonly slot?: number;
}

export interface Upload extends Description {
  readonly uploadId: string;
  readonly key: string;
  readonly initiated: number;
  /** Absent where the writer named none: the object then gets a CRC64NVME of its whole. */
  readonly algorithm?: ChecksumAlgorithm;
  readonly checksumType: 'COMPOSITE' | 'FULL_OBJECT';
  readonly parts: Map<number, UploadedPart>;
  readonly slots: Slots;
}

export interface BucketConfiguration {
  readonly versioning?: 'Enabled' | 'Suspended';
  /** Present where Object Lock is enabled. */
  readonly objectLock?: {
    readonly mode?: Retention['mode'];
    readonly days?: number;
    readonly years?: number;
  };
  readonly encryption: Encryption;
  readonly publicAccessBlock?: Readonly<Record<string, boolean>>;
  readonly objectOwnership: string;
  readonly lifecycle: readonly LifecycleRule[];
  readonly replication?: ReplicationConfiguration;
  /** As the template has them. */
  readonly logging?: unknown;
  readonly tags?: unknown;
}

/** Told of what is written to a bucket, so that it can be copied elsewhere. */
export interface Replicator {
  wants(bucket: Bucket, written: Pick<Version, 'key' | 'tags' | 'encryption' | 'deleteMarker'>): boolean;
  enqueue(bucket: Bucket, version: Version): void;
}

export interface Bucket {
  readonly name: string;
  readonly region: string;
  readonly directory: string;
  readonly created: number;
  configuration: BucketConfiguration;
  readonly replicator: Replicator;
  /** The document of its AWS::S3::BucketPolicy. */
  policy?: unknown;
  /** Sorted as S3 sorts: by the bytes of UTF-8. */
  readonly keys: string[];
  /** Newest first; no key is without a version. */
  readonly versions: Map<string, Version[]>;
  readonly uploads: Map<string, Upload>;
  sequence: number;
}

/** One request on its way through an operation. */
export interface Call {
  readonly world: World;
  readonly context: CallContext;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly bucketName: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly buckets: Buckets;
  /** The bucket of this call, or another one by name; NoSuchBucket and PermanentRedirect are thrown from here. */
  bucket(): Bucket;
  anyBucket(name: string): Bucket;
  header(name: string): string | undefined;
}

/** A bucket that is copied to, and the cloud that it is in: another account has its own. */
export interface Destination {
  readonly bucket: Bucket;
  readonly world: World;
}

/** All buckets of the account, whatever their region. */
export interface Buckets extends ReadonlyMap<string, Bucket> {
  /** Of any account. */
  destination(name: string): Destination | undefined;
  /** Makes a bucket; `lasting` where no template will make it again. */
  create(name: string, region: string, configuration: BucketConfiguration, lasting: boolean): Bucket;
  /** Removes an empty bucket. */
  remove(bucket: Bucket): void;
}

/** An error with the further elements and headers that S3 gives with it. */
export function s3Error(
  code: string,
  message: string,
  status = 400,
  details: Record<string, string> = {},
  headers: Record<string, string> = {},
): AwsError {
  return Object.assign(new AwsError(code, message, status), { details, headers });
}

export const accessDenied = (why = 'Access Denied'): AwsError => s3Error('AccessDenied', why, 403);
