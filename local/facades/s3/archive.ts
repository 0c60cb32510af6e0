import { receiveDocument } from './body.ts';
import { type Call, s3Error, type Version } from './model.ts';
import { changeVersion } from './store.ts';
import { versionOf } from './versions.ts';
import { fromXml, malformed } from './xml.ts';

/** Objects of the Glacier classes: a copy of them has to be fetched before they can be read. */

const hour = 3_600_000;
const day = 24 * hour;

/** How long the fetching takes, as AWS says it typically does. */
const fetchingMs: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  GLACIER: { Expedited: 5 * 60_000, Standard: 5 * hour, Bulk: 12 * hour },
  DEEP_ARCHIVE: { Standard: 12 * hour, Bulk: 48 * hour },
};

/** Throws InvalidObjectState for an archived object without a copy at this time. */
export function assertReadable({ storageClass, restored }: Version, now: number): void {
  if (!(storageClass in fetchingMs) || (restored && restored.from <= now && now < restored.until)) return;
  throw s3Error('InvalidObjectState', "The operation is not valid for the object's storage class", 403, {
    StorageClass: storageClass,
  });
}

export function restoreHeader({ restored }: Version, now: number): Record<string, string> {
  if (!restored || restored.until <= now) return {};
  if (now < restored.from) return { 'x-amz-restore': 'ongoing-request="true"' };
  const expiry = new Date(restored.until).toUTCString();
  return { 'x-amz-restore': `ongoing-request="false", expiry-date="${expiry}"` };
}

export async function restoreObject(call: Call): Promise<void> {
  const body = fromXml(await receiveDocument(call.request), 'RestoreRequest');
  const bucket = call.bucket();
  const version = versionOf(bucket, call.key, call.query.get('versionId') ?? undefined);
  const times = fetchingMs[version.storageClass];
  if (!times) {
    throw s3Error('InvalidObjectState', "Restore is not allowed for the object's current storage class", 403);
  }
  const days = Number(body.Days);
  if (!Number.isInteger(days) || days < 1) throw malformed('Days is not a whole number above 0');
  const tier: string = body.GlacierJobParameters?.Tier ?? body.Tier ?? 'Standard';
  const wait = times[tier];
  if (wait === undefined) {
    throw s3Error('InvalidArgument', `Retrieval option ${tier} is not supported by this storage class`);
  }
  const now = call.world.now();
  const { restored } = version;
  if (restored && now < restored.from) {
    throw s3Error('RestoreAlreadyInProgress', 'Object restore is already in progress', 409);
  }
  const there = restored !== undefined && now < restored.until;
  const from = there ? restored.from : now + wait;
  // Copies go at a midnight, as objects do.
  const until = Math.ceil((Math.max(from, now) + days * day) / day) * day;
  await changeVersion(bucket, version.key, version.versionId, (found) => ({ ...found, restored: { from, until } }));
  call.response.writeHead(there ? 200 : 202, { 'content-length': 0 }).end();
}
