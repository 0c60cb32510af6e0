import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { describeStop, restartService, startCompute, stopCompute } from '../lib/aws/compute.ts';
import { type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { loadSettings } from '../lib/aws/settings.ts';
import { changeRole, openStateItems, readItem, readRole, writeItem } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Diverged, DivergenceItem } from '../lib/core/failover/diverged.ts';
import { fullFigures } from '../lib/core/failover/drill.ts';
import type { AgentReport } from '../lib/core/failover/orders.ts';
import type { ProbeItem } from '../lib/core/failover/probe.ts';
import * as roles from '../lib/core/failover/role.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import { divergedKey, drillKey } from '../lib/core/keys.ts';
import type { Outcome } from '../lib/core/outcome.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { defineHandler, logger } from './define-handler.ts';

/** Fences the old writer and proves it; starts it again when a failover is given up; restarts applications. */

interface Event {
  readonly verb: string;
  readonly settings: FailoverSettings;
  readonly run: string;
  readonly target: roles.ServerName;
  readonly attest?: string | null;
  /** Of a full drill. */
  readonly decision?: { readonly seconds: number };
  readonly there?: Outcome;
  readonly back?: Outcome;
}

interface Step extends Event {
  readonly items: ReturnType<typeof openStateItems>;
}

/** Time for whoever lets a lease expire to have stopped its server, beside what its own clock may be slow by. */
const leaseMargin = 1.1;
const stopSeconds = 45;

const verbs = {
  /** Asks for the stop; whether it came about is for `prove` to say. */
  async fence({ settings, items, run, target }: Step) {
    await changeRole(items, (role) => roles.stillMine(role, run, Date.now()));
    if (isPlanned(await readRole(items))) {
      // Its agent stops it in order, so that everything that was acknowledged leaves the server first.
      await writeItem(items, `order-${roles.otherServer(target)}`, { id: `${run}/stop`, kind: 'stop' });
      return { asked: true, detail: 'its agent was told to stop it in order' };
    }
    const { compute, region } = settings.servers[roles.otherServer(target)];
    if (!settings.fences.includes('stop') || compute === null)
      return { asked: false, detail: 'nothing here can stop it' };
    try {
      await stopCompute(region, compute);
      return { asked: true, detail: `${compute.kind} in ${region} was told to stop` };
    } catch (error) {
      logger.warn('the old writer could not be told to stop', error as Error);
      return { asked: false, detail: (error as Error).message };
    }
  },

  /** The first fence that can be proven, of those configured; a person's word comes last. */
  async prove({ settings, items, run, target, attest = null }: Step): Promise<roles.FenceProof> {
    const role = await changeRole(items, (before) => roles.stillMine(before, run, Date.now()));
    if (role.run?.fence) return role.run.fence;
    const reasons: string[] = [];
    const proof = isPlanned(role)
      ? // Any other fence would lose what had not left the server yet: a planned change is given up rather.
        await proveCleanStop(items, run, target, reasons)
      : ((await proveStop(settings, target, reasons)) ??
        (await proveSynchronous(settings, items, reasons)) ??
        (await proveLease(settings, items, run, reasons)) ??
        (attest === null ? undefined : ({ fence: 'attested', evidence: attest } as const)));
    if (proof === undefined) throw new PgdrError('FenceUnproven', reasons.join('; ') || 'no fence is configured');
    await changeRole(items, (before) => roles.recordFence(before, run, proof, Date.now()));
    return proof;
  },

  /**
   * Lets the role item go. Before the point of no return the writer gets its machine back; after it nothing is undone,
   * and the item says where to go on.
   */
  async giveUp({ settings, items, run, target }: Step) {
    const before = await readRole(items);
    const phase = before.run?.id === run ? before.run.phase : null;
    await changeRole(items, (role) => roles.release(role, run));
    const { compute, region } = settings.servers[roles.otherServer(target)];
    const isStopped = phase === 'reserved' || phase === 'fenced';
    if (isStopped && isPlanned(before)) {
      await writeItem(items, `order-${roles.otherServer(target)}`, { id: `${run}/start`, kind: 'start' });
      return { phase, started: true };
    }
    if (!isStopped || !settings.fences.includes('stop') || compute === null) return { phase, started: false };
    await startCompute(region, compute);
    return { phase, started: true };
  },

  /** The server that is to rejoin needs its machine. */
  async startTarget({ settings, items, run, target }: Step) {
    await changeRole(items, (role) => roles.stillMine(role, run, Date.now()));
    const { compute, region } = settings.servers[target];
    if (compute === null) return { started: false, detail: 'nothing here can start it' };
    await startCompute(region, compute);
    return { started: true, detail: `${compute.kind} in ${region}` };
  },

  /** What a rejoin undid, as the agent left it in the state table, goes into the bucket under its lock; once. */
  async keepDivergence({ settings, items, run, target }: Step): Promise<Diverged | null> {
    const found = await readItem<DivergenceItem>(items, `diverged-${target}`);
    if (found?.orderId !== `${run}/rejoin`) return null;
    const { orderId: _, commits, listed, ...divergence } = found;
    const database = await loadSettings(settings.system, settings.database);
    const key = divergedKey(database, run);
    const head = [
      `${divergence.transactions} transactions that only the ${target} had`,
      `after ${divergence.start} on timeline ${divergence.timeline}`,
      ...(listed < divergence.transactions ? [`the first ${listed} of them; all are in the file beside its data`] : []),
    ].join(', ');
    await putOnce(lockedStore(database), key, Buffer.from(`${head}\n${gunzipSync(Buffer.from(commits, 'base64'))}\n`));
    return { ...divergence, key };
  },

  /** Evidence of a full drill, under the lock of backups; one of the same run is kept once. */
  async keepDrill({ settings, run, decision, there, back }: Step) {
    const database = await loadSettings(settings.system, settings.database);
    const store = lockedStore(database);
    const figures = fullFigures(run, settings, decision?.seconds ?? 0, there?.failover);
    const key = drillKey(database, figures.id, 'json');
    await putOnce(store, key, Buffer.from(JSON.stringify({ schemaVersion: 1, ...figures, there, back }, null, 2)));
    return { key };
  },

  /** After a planned change the old writer follows the new one. */
  async followNew({ settings, items, run, target }: Step) {
    const role = await readRole(items);
    if (role.run?.operation !== 'failback') return { told: false };
    const old = roles.otherServer(target);
    const id = `${run}/rejoin`;
    await writeItem(items, `order-${old}`, { id, kind: 'rejoin', source: target, rewind: true });
    return { told: true, server: old, secret: settings.servers[target].secret };
  },

  /** Applications whose pools hold on to the old server are started anew. One that cannot be is reported. */
  async restartApplications({ settings }: Step) {
    const results = await Promise.all(
      settings.applications.map(async ({ region, cluster, service }) => {
        try {
          await restartService(region, { cluster, service });
          return { service, restarted: true };
        } catch (error) {
          logger.warn('an application could not be restarted', { service, reason: (error as Error).message });
          return { service, restarted: false, reason: (error as Error).message };
        }
      }),
    );
    return { applications: results };
  },
} satisfies Record<string, (step: Step) => Promise<unknown>>;

const lockedStore = ({ bucket, lock }: DatabaseSettings): ObjectStore =>
  openStore(bucket, { mode: lock.mode, until: new Date(Date.now() + lock.seconds * 1000) });

/** A failback is planned: its writer is well, and there is time to stop it cleanly. */
const isPlanned = ({ run }: roles.Role): boolean => run?.operation === 'failback';

/** The agent says that the server is shut down, and where its WAL ends; nobody starts it while the role item says no. */
async function proveCleanStop(
  items: Step['items'],
  run: string,
  target: roles.ServerName,
  reasons: string[],
): Promise<roles.FenceProof | undefined> {
  const old = roles.otherServer(target);
  const deadline = performance.now() + stopSeconds * 1000;
  while (performance.now() < deadline) {
    const report = await readItem<AgentReport>(items, `agent-${old}`);
    if (report?.orderId === `${run}/stop` && report.order === 'done')
      return { fence: 'clean-stop', evidence: report.detail };
    if (report?.orderId === `${run}/stop` && report.order === 'failed') {
      reasons.push(`clean stop: ${report.detail}`);
      return undefined;
    }
    await sleep(50);
  }
  reasons.push(`clean stop: the agent of the ${old} did not answer within ${stopSeconds} s`);
  return undefined;
}

async function proveStop(
  settings: FailoverSettings,
  target: roles.ServerName,
  reasons: string[],
): Promise<roles.FenceProof | undefined> {
  const { compute, region } = settings.servers[roles.otherServer(target)];
  if (!settings.fences.includes('stop') || compute === null) return undefined;
  const deadline = performance.now() + stopSeconds * 1000;
  let last = '';
  for (let wait = 50; performance.now() < deadline; wait = Math.min(wait * 1.5, 1000)) {
    try {
      const { stopped, detail } = await describeStop(region, compute);
      if (stopped) return { fence: 'stop', evidence: detail };
      last = detail;
    } catch (error) {
      reasons.push(`stop: ${region} does not answer (${(error as Error).name})`);
      return undefined;
    }
    await sleep(wait);
  }
  reasons.push(`stop: not within ${stopSeconds} s (${last})`);
  return undefined;
}

/** Commits wait for the standby, and for it alone: once it is promoted, nobody confirms them. */
async function proveSynchronous(
  settings: FailoverSettings,
  items: Step['items'],
  reasons: string[],
): Promise<roles.FenceProof | undefined> {
  if (!settings.fences.includes('synchronous')) return undefined;
  const probe = await readItem<ProbeItem>(items, `probe-${settings.region}`);
  if (probe?.lastGood?.synchronous) {
    const seen = new Date(probe.lastGood.seenAt).toISOString();
    return { fence: 'synchronous', evidence: `its commits waited for the standby alone, last seen ${seen}` };
  }
  reasons.push('synchronous: the last good probe did not see commits wait for the standby alone');
  return undefined;
}

/** Since the epoch was reserved no lease can be renewed: whoever held one has stopped once its time is over. */
async function proveLease(
  settings: FailoverSettings,
  items: Step['items'],
  run: string,
  reasons: string[],
): Promise<roles.FenceProof | undefined> {
  if (!settings.fences.includes('lease')) return undefined;
  const role = await readRole(items);
  const reservedAt = role.run?.id === run ? role.run.marks.reserved : undefined;
  const old = role.writer;
  const lease = await readItem<{ at: number }>(items, `lease-${old}`);
  if (reservedAt === undefined || lease === undefined) {
    reasons.push(`lease: no agent ever held one for the ${old}`);
    return undefined;
  }
  const until = reservedAt + settings.leaseSeconds * 1000 * leaseMargin;
  await sleep(Math.max(0, until - Date.now()));
  return {
    fence: 'lease',
    evidence: `its lease, renewed last at ${new Date(lease.at).toISOString()}, could not be renewed for ${settings.leaseSeconds} s`,
  };
}

export const handler = defineHandler(async (event: Event): Promise<unknown> => {
  const settings = parseFailoverSettings(event.settings);
  const verb = (verbs as Record<string, (step: Step) => Promise<unknown>>)[event.verb];
  if (!verb) throw new PgdrError('RequestInvalid', `no such step: ${event.verb}`);
  const items = openStateItems(process.env.STATE_TABLE ?? '', settings.database, settings.region);
  return verb({ ...event, settings, items });
});
