import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CloudClock } from './clock.ts';
import type { Outages } from './outages.ts';

/**
 * What every AWS facade of the local cloud shares. A facade answers one service's API over HTTP and makes
 * that service's CloudFormation resources; `cloud.ts` wires them together, `http.ts` routes requests to them.
 */

/** Who signed a request: the role behind the access key, or the account's administrator. */
export interface Principal {
  /** `arn:aws:sts::<account>:assumed-role/<role>/<session>` or `arn:aws:iam::<account>:root`. */
  readonly arn: string;
  /** The role's ARN; absent for the administrator. */
  readonly roleArn?: string;
  /** Of an AWS service that acts for itself: `sns.amazonaws.com`. It is the `arn` too. */
  readonly service?: string;
  /** The region that the caller runs in; absent for one outside the cloud. */
  readonly region?: string;
}

/** Values of IAM's condition keys: `s3:prefix` is `a/`. */
export type ConditionValues = Readonly<Record<string, string | readonly string[]>>;

/** One thing that policies are asked about. */
export interface Permission {
  /** The IAM action, e.g. `s3:PutObject`, and the ARN it acts on (`*` where the API has no resource). */
  readonly action: string;
  readonly resource: string;
  /** Condition keys of this call, beside the global ones. */
  readonly conditions?: ConditionValues;
}

/** Whom a permission is asked for, and by which service (the SigV4 signing name), whose words a refusal has. */
export interface Caller {
  readonly service: string;
  readonly region: string;
  readonly principal: Principal;
}

/** A service that takes a role on, for one of its resources. */
export interface ServiceRole {
  /** `states.amazonaws.com` */
  readonly service: string;
  readonly region: string;
  /** What a trust policy's `aws:SourceArn` is compared with. */
  readonly sourceArn?: string;
}

/** What policies have to know of a resource. */
export interface ResourceAccess {
  /** Its own ARN, where it was named by another one (an alias). */
  readonly arn?: string;
  /** Its resource-based policy. */
  readonly policy?: unknown;
  /** Condition keys that belong to it. */
  readonly conditions?: ConditionValues;
}

/** One API call, as it is authorised, recorded and shown to interceptors. */
export interface ApiCall extends Permission, Caller {
  /** The SigV4 signing name: s3, states, ecs, lambda, scheduler, sns, monitoring, logs, secretsmanager, ssm, kms, sts. */
  readonly service: string;
  readonly region: string;
  /** The API's name of the operation: PutObject, RunTask. */
  readonly operation: string;
  readonly principal: Principal;
  /** All that it takes: a key's use, or a role that is passed on. @default the call's own action on its resource */
  readonly needs?: readonly Permission[];
  /** The operation's parameters in the API's own names (S3: Bucket, Key, PartNumber, UploadId, …), without bodies. */
  readonly input: Readonly<Record<string, unknown>>;
}

/** Called for every API call before it is carried out; what it throws (an {@link AwsError}) is the call's answer. */
export type Interceptor = (call: ApiCall) => void | Promise<void>;

/** An error as AWS answers it. `code` is the wire's code (`NoSuchKey`, `ResourceNotFoundException`). */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  /** Further members of a JSON error: DynamoDB's CancellationReasons, for one. */
  readonly members: Readonly<Record<string, unknown>>;
  constructor(code: string, message: string, status = 400, members: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.members = members;
  }
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** The caller of an operation. */
export interface CallContext {
  readonly region: string;
  readonly principal: Principal;
  readonly requestId: string;
}

/** What facades may ask of the cloud that holds them. */
export interface World {
  readonly account: string;
  readonly regions: readonly string[];
  /** This cloud's own address, `http://127.0.0.1:<port>`; known once it listens. */
  readonly endpoint: string;
  /** Where state may be kept: each facade uses the folder of its service's name below it. */
  readonly directory: string;
  /** Milliseconds since the epoch on this cloud's clock. */
  now(): number;
  /** Timers on this cloud's clock, which may run faster than the machine's. */
  readonly clock: CloudClock;
  /** Which regions are up, and who reaches whom. */
  readonly outages: Outages;
  /**
   * Credentials of a role, for a process that runs as it. The session name ends up in the principal's ARN.
   *
   * @param region where the process runs: what it reaches depends on it during an outage
   */
  credentialsFor(roleArn: string, sessionName: string, region?: string): Credentials;
  /**
   * Records the call, asks the policies, runs the interceptors; throws a refusal, or what they throw. Every facade
   * calls it once per API call.
   */
  authorize(call: ApiCall): Promise<void>;
  /** Asks for one more permission than a call's own: the error that the caller would get, undefined when allowed. */
  refusal(caller: Caller, permission: Permission): AwsError | undefined;
  /** @throws AwsError when the role does not trust the service */
  assertTrusted(roleArn: string, by: ServiceRole): void;
  /** One line into a log group (made when absent): CloudWatch Logs, and from there embedded metrics. */
  log(region: string, group: string, stream: string, line: string): void;
  /** Reports something that has no caller to answer (a delivery that failed, a crash); shown with `verbose`. */
  note(message: string): void;
}

/** One operation of an RPC-style service: input and output in the API's own shapes. */
export type Operation = (input: any, context: CallContext) => Promise<unknown> | unknown;

/** What CloudFormation learns of a made resource: what `Ref` gives, and what `Fn::GetAtt` may ask for. */
export interface MadeResource {
  readonly ref: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

export interface ResourceContext {
  readonly region: string;
  readonly stack: string;
  readonly logicalId: string;
  /** A name CloudFormation would make up: `<stack>-<logicalId>-<suffix>`. */
  readonly generatedName: string;
  /** The folder of the cloud assembly, where assets lie. */
  readonly assembly: string;
}

/** Makes one CloudFormation resource from its properties (intrinsics already resolved). Unknown properties that
 * change behaviour must be refused with an Error that names type, logical id and property. */
export type ResourceMaker = (properties: any, context: ResourceContext) => Promise<MadeResource> | MadeResource;

export interface AnonymousAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** The wire protocols by which a facade is spoken to. A facade has `operations`, or `http`, or both. */
export interface Facade {
  /** The SigV4 signing name by which requests are routed. */
  readonly service: string;
  /** AWS JSON 1.0/1.1, Query and RPC-CBOR operations by name; http.ts decodes and encodes. */
  readonly operations?: Readonly<Record<string, Operation>>;
  /** For Query/XML answers: the service's XML namespace. */
  readonly xmlNamespace?: string;
  /** REST protocols (S3, Lambda, Scheduler): the whole request, with its body still unread. */
  readonly http?: (request: IncomingMessage, response: ServerResponse, context: CallContext) => Promise<void>;
  /** Answers a GET without a signature, for the few addresses that AWS leaves open; undefined when it is not one. */
  readonly anonymous?: (url: URL) => AnonymousAnswer | undefined;
  /** What policies have to know of one of this service's resources; undefined for one that does not exist. */
  readonly accessOf?: (arn: string) => ResourceAccess | undefined;
  /** Why a resource serves nobody at the moment, whatever policies say: a key that is disabled. */
  readonly unusable?: (arn: string) => AwsError | undefined;
  /** CloudFormation types that this facade makes. */
  readonly resources?: Readonly<Record<string, ResourceMaker>>;
  /** Stops what runs (processes, timers). */
  close?(): Promise<void>;
}
