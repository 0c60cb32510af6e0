import { setTimeout as sleep } from 'node:timers/promises';
import { publishEmbedded } from '../lib/aws/embedded-metrics.ts';
import { readSecret } from '../lib/aws/secret.ts';
import { changeRole, openStateItems, readItem, readRole, writeItem } from '../lib/aws/state-items.ts';
import { nextProbe, type ProbeItem, type ProbeResult } from '../lib/core/failover/probe.ts';
import { otherServer, type ServerName } from '../lib/core/failover/role.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import type { MetricName } from '../lib/core/metrics.ts';
import { connect, parseConnection } from '../lib/postgres/connection.ts';
import { prepareHeartbeat, readStandby, writeHeartbeat } from '../lib/postgres/server-role.ts';
import { defineHandler, logger } from './define-handler.ts';

/**
 * Writes heartbeats to the writer for one minute, and reads them on the standby. A write, since a server whose disk is
 * full still answers SELECT 1; a new connection each time, since that is what applications will need.
 */

interface Event {
  readonly settings: FailoverSettings;
  /** As the function that follows the writer found it; the recovery region asks the role item itself, each time. */
  readonly found?: { readonly writer: ServerName; readonly epoch: number } | null;
  /** How long to go on. @default 50, so that the next minute's probe finds this one gone */
  readonly seconds?: number;
}

export interface ProbeSummary {
  readonly writer: ServerName;
  readonly epoch: number;
  readonly probes: number;
  readonly failures: number;
  readonly error: string | null;
  readonly lagSeconds: number | null;
  readonly standby: string;
}

/** As many as the machine wants to see before it calls the writer down. */
const failuresOfDown = 3;
/** A write that takes longer is a failure: nobody waits for a database that long. */
const limitSeconds = 2;

export const handler = defineHandler(async ({ settings: given, found, seconds = 50 }: Event): Promise<ProbeSummary> => {
  const settings = parseFailoverSettings(given);
  const region = process.env.AWS_REGION ?? settings.region;
  // Each region keeps its own notes, in the table that its network reaches; the role item is in the recovery region.
  const items = openStateItems(process.env.STATE_TABLE ?? '', settings.database, region);
  // It exists from the first probe on: agents may renew no lease without it.
  if (region === settings.region) await changeRole(items, (role) => role);
  const writerNow = async () => (region === settings.region || !found ? readRole(items) : found);
  const deadline = performance.now() + seconds * 1000;
  let item = await readItem<ProbeItem>(items, `probe-${region}`);
  let probes = 0;
  for (;;) {
    const began = performance.now();
    item = nextProbe(region, item, await probe(settings, writerNow), Date.now());
    await writeItem(items, `probe-${region}`, item);
    probes += 1;
    // What is down is not waited for: the machine decides what follows.
    if (item.failures >= failuresOfDown) break;
    const pause = settings.probeSeconds * 1000 - (performance.now() - began);
    if (performance.now() + pause > deadline) break;
    await sleep(Math.max(0, pause));
  }
  const { writer, epoch } = await writerNow();
  const standby = await look(settings, otherServer(writer));
  publishEmbedded(settings.database, metricsOfProbe(item, standby));
  return {
    writer,
    epoch,
    probes,
    failures: item.failures,
    error: item.error,
    lagSeconds: standby?.heartbeatAgeSeconds ?? null,
    standby:
      standby === null
        ? 'not reached'
        : standby.inRecovery
          ? standby.streaming
            ? 'streaming'
            : 'not streaming'
          : 'ACCEPTS WRITES',
  };
});

async function probe(
  settings: FailoverSettings,
  writerNow: () => Promise<{ readonly writer: ServerName; readonly epoch: number }>,
): Promise<ProbeResult> {
  const sentAt = Date.now();
  try {
    const { writer, epoch } = await writerNow();
    const { secret } = settings.servers[writer];
    const connection = parseConnection(await readSecret(secret), secret);
    const client = await connect(connection, 'pgdr probe', { timeoutSeconds: limitSeconds });
    try {
      await prepareHeartbeat(client);
      return { sentAt, good: await writeHeartbeat(client, epoch), error: null };
    } finally {
      await client.end().catch(() => {});
    }
  } catch (error) {
    logger.warn('the writer took no write', { reason: (error as Error).message });
    return { sentAt, good: null, error: (error as Error).message };
  }
}

async function look(settings: FailoverSettings, server: ServerName) {
  try {
    const { secret } = settings.servers[server];
    const client = await connect(parseConnection(await readSecret(secret), secret), 'pgdr probe', {
      timeoutSeconds: limitSeconds,
    });
    try {
      return await readStandby(client);
    } finally {
      await client.end().catch(() => {});
    }
  } catch (error) {
    logger.warn('the standby could not be asked', { reason: (error as Error).message });
    return null;
  }
}

function metricsOfProbe(item: ProbeItem, standby: Awaited<ReturnType<typeof look>>): ReadonlyMap<MetricName, number> {
  const metrics = new Map<MetricName, number>([['PrimaryUp', item.failures === 0 ? 1 : 0]]);
  if (item.lastGood) metrics.set('HeartbeatAgeSeconds', (item.at - item.lastGood.seenAt) / 1000);
  if (!standby?.inRecovery) return metrics;
  if (standby.heartbeatAgeSeconds !== null)
    metrics.set('ReplicationLagSeconds', Math.max(0, standby.heartbeatAgeSeconds));
  if (standby.replayLagBytes !== null) metrics.set('ReplicationLagBytes', standby.replayLagBytes);
  return metrics;
}
