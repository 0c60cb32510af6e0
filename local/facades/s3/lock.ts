import { receiveDocument } from './body.ts';
import { accessDenied, type Bucket, type Call, type Lock, type Retention, s3Error, type Version } from './model.ts';
import { changeVersion } from './store.ts';
import { versionOf } from './versions.ts';
import { answerXml, fromXml, malformed } from './xml.ts';

const day = 86_400_000;

const missingConfiguration = () => s3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');

/** The lock of a new object: what its writer asks for, or the bucket's default. */
export function lockFor(call: Call, bucket: Bucket): Lock {
  const mode = call.header('x-amz-object-lock-mode');
  const until = call.header('x-amz-object-lock-retain-until-date');
  const hold = call.header('x-amz-object-lock-legal-hold');
  if (!bucket.configuration.objectLock) {
    if (mode || until || hold) throw missingConfiguration();
    return {};
  }
  if ((mode === undefined) !== (until === undefined)) {
    throw s3Error(
      'InvalidArgument',
      'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
    );
  }
  return {
    retention: mode && until ? retentionOf(mode, until, call.world.now()) : defaultRetention(bucket, call.world.now()),
    ...(hold === undefined ? {} : { legalHold: holdOf(hold) }),
  };
}

/** S3 refuses bodies without a digest where a retention or hold is going to protect them. */
export function requireDigest(lock: Lock, what: 'Put Object' | 'Put Part', digested: boolean): void {
  if (digested || (!lock.retention && !lock.legalHold)) return;
  throw s3Error(
    'InvalidRequest',
    `Content-MD5 OR x-amz-checksum- HTTP header is required for ${what} requests with Object Lock parameters`,
  );
}

function defaultRetention(bucket: Bucket, now: number): Retention | undefined {
  const rule = bucket.configuration.objectLock;
  if (!rule?.mode) return undefined;
  if (rule.days !== undefined) return { mode: rule.mode, until: now + rule.days * day };
  const until = new Date(now);
  until.setUTCFullYear(until.getUTCFullYear() + (rule.years ?? 0));
  return { mode: rule.mode, until: until.getTime() };
}

/** The rule of PutObjectLockConfiguration. */
export function lockRuleOf(retention: Record<string, string> | undefined): Bucket['configuration']['objectLock'] {
  if (!retention) return {};
  const { Mode: mode, Days, Years } = retention;
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') throw malformed('Mode is neither GOVERNANCE nor COMPLIANCE');
  if ((Days === undefined) === (Years === undefined)) throw malformed('either Days or Years is needed');
  if (!(Number(Days ?? Years) > 0)) {
    throw s3Error('InvalidArgument', 'Default retention period must be a positive integer value.');
  }
  return { mode, ...(Days ? { days: Number(Days) } : { years: Number(Years) }) };
}

/** A copy is locked as its source is, or else as the bucket that it lies in locks by default. */
export function lockOfReplica(lock: Lock, target: Bucket, now: number): Lock {
  if (!target.configuration.objectLock) return {};
  return { ...lock, retention: lock.retention ?? defaultRetention(target, now) };
}

function retentionOf(mode: string, date: string, now: number): Retention {
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') {
    throw s3Error('InvalidArgument', `Unknown wormMode directive: ${mode}`);
  }
  const until = Date.parse(date);
  if (Number.isNaN(until)) throw s3Error('InvalidArgument', `The retain until date is not a date: ${date}`);
  if (until <= now) throw s3Error('InvalidArgument', 'The retain until date must be in the future!');
  return { mode, until };
}

function holdOf(status: string): boolean {
  if (status !== 'ON' && status !== 'OFF') throw s3Error('InvalidArgument', `Unknown legal hold status: ${status}`);
  return status === 'ON';
}

const protectedError = () => accessDenied('Access Denied because object protected by object lock.');

export const bypassesGovernance = (call: Call): boolean =>
  call.header('x-amz-bypass-governance-retention')?.toLowerCase() === 'true';

/** Throws AccessDenied when this version may not be removed. */
export function assertDeletable(version: Version, bypassGovernance: boolean, now: number): void {
  const { retention, legalHold } = version.lock;
  if (legalHold) throw protectedError();
  if (!retention || retention.until <= now) return;
  if (retention.mode === 'GOVERNANCE' && bypassGovernance) return;
  throw protectedError();
}

export function lockHeaders({ retention, legalHold }: Lock): Record<string, string> {
  return {
    ...(retention && {
      'x-amz-object-lock-mode': retention.mode,
      'x-amz-object-lock-retain-until-date': new Date(retention.until).toISOString(),
    }),
    ...(legalHold !== undefined && { 'x-amz-object-lock-legal-hold': legalHold ? 'ON' : 'OFF' }),
  };
}

function lockable(call: Call): { bucket: Bucket; version: Version } {
  const bucket = call.bucket();
  if (!bucket.configuration.objectLock) throw missingConfiguration();
  return { bucket, version: versionOf(bucket, call.key, call.query.get('versionId') ?? undefined) };
}

const noLock = () =>
  s3Error('NoSuchObjectLockConfiguration', 'The specified object does not have a ObjectLock configuration', 404);

export function getObjectRetention(call: Call): void {
  const { retention } = lockable(call).version.lock;
  if (!retention) throw noLock();
  answerXml(call.response, 'Retention', {
    Mode: retention.mode,
    RetainUntilDate: new Date(retention.until).toISOString(),
  });
}

export function getObjectLegalHold(call: Call): void {
  const { legalHold } = lockable(call).version.lock;
  if (legalHold === undefined) throw noLock();
  answerXml(call.response, 'LegalHold', { Status: legalHold ? 'ON' : 'OFF' });
}

export async function putObjectRetention(call: Call): Promise<void> {
  const body = fromXml(await receiveDocument(call.request), 'Retention');
  const { bucket, version } = lockable(call);
  const now = call.world.now();
  let retention: Retention | undefined;
  if (body.Mode !== undefined || body.RetainUntilDate !== undefined) {
    if (body.Mode === undefined || body.RetainUntilDate === undefined) {
      throw malformed('a retention needs Mode and RetainUntilDate');
    }
    retention = retentionOf(body.Mode, body.RetainUntilDate, now);
  }
  const change = (found: Version): Version => {
    assertChangeable(found.lock.retention, retention, bypassesGovernance(call), now);
    return { ...found, lock: { ...found.lock, retention } };
  };
  await changeVersion(bucket, version.key, version.versionId, change, true);
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

/** A retention in force may be made stricter by anybody, weaker only by a bypass of GOVERNANCE. */
function assertChangeable(
  before: Retention | undefined,
  after: Retention | undefined,
  bypass: boolean,
  now: number,
): void {
  if (!before || before.until <= now) return;
  const longer = after !== undefined && after.until >= before.until;
  const weakerMode = before.mode === 'COMPLIANCE' && after?.mode === 'GOVERNANCE';
  if (longer && !weakerMode) return;
  if (before.mode === 'GOVERNANCE' && bypass) return;
  throw protectedError();
}

export async function putObjectLegalHold(call: Call): Promise<void> {
  const body = fromXml(await receiveDocument(call.request), 'LegalHold');
  const { bucket, version } = lockable(call);
  const legalHold = holdOf(String(body.Status));
  const change = (found: Version): Version => ({ ...found, lock: { ...found.lock, legalHold } });
  await changeVersion(bucket, version.key, version.versionId, change, true);
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

export function getObjectLockConfiguration(call: Call): void {
  const rule = call.bucket().configuration.objectLock;
  if (!rule) {
    throw s3Error(
      'ObjectLockConfigurationNotFoundError',
      'Object Lock configuration does not exist for this bucket',
      404,
    );
  }
  answerXml(call.response, 'ObjectLockConfiguration', {
    ObjectLockEnabled: 'Enabled',
    Rule: rule.mode ? { DefaultRetention: { Mode: rule.mode, Days: rule.days, Years: rule.years } } : undefined,
  });
}
