import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { publishEmbedded, publishPhases } from '../lib/aws/embedded-metrics.ts';
import { changeRole, openStateItems, readItem, readRole } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { type Decision, decide } from '../lib/core/failover/decision.ts';
import type { Evidence, Observation } from '../lib/core/failover/evidence.ts';
import { approvalMessage } from '../lib/core/failover/message.ts';
import { observationOf, type ProbeItem } from '../lib/core/failover/probe.ts';
import { type FailoverRequest, parseFailoverRequest } from '../lib/core/failover/request.ts';
import * as roles from '../lib/core/failover/role.ts';
import { type Finished, outcomeOf } from '../lib/core/failover/summary.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import type { Outcome } from '../lib/core/outcome.ts';
import { metricsOf, phaseMetricsOf } from '../lib/core/outcome-metrics.ts';
import { defineHandler } from './define-handler.ts';

/** The steps of a failover that change the role item, by their names; lib/core/failover/role.ts says what may follow what. */

interface Event {
  readonly verb: string;
  readonly settings: FailoverSettings;
  /** Name of the execution that the role item is held by. */
  readonly run: string;
  readonly request?: unknown;
  readonly operation?: roles.Operation;
  readonly target?: roles.ServerName;
  readonly evidence?: Evidence;
  readonly decision?: Decision;
  readonly token?: string;
  readonly proof?: roles.FenceProof;
}

interface Step extends Event {
  readonly items: ReturnType<typeof openStateItems>;
  readonly now: number;
}

const verbs = {
  /** Takes the role item, unless another execution holds it; tells whether there is anything left to do. */
  async begin({ items, settings, run, now, request, operation = 'failover', target = 'standby' }: Step) {
    const parsed = parseFailoverRequest(request);
    const role = await readRole(items);
    const base = { request: parsed, target, old: roles.otherServer(target) };
    if (role.writer === target && role.run?.id !== run) return { ...base, role, already: true, resumed: false };
    // A dry run looks on without holding anything.
    if (parsed.dryRun) return { ...base, role, already: false, resumed: false };
    const probe = await readItem<ProbeItem>(items, `probe-${settings.region}`);
    const lastGoodAt = Math.min(probe?.lastGood?.seenAt ?? now, now);
    const taken = await changeRole(items, (before) =>
      roles.mark(roles.begin(before, { id: run, operation, target, now }), run, 'last-good', lastGoodAt),
    );
    return {
      ...base,
      role: taken,
      already: false,
      resumed: taken.run?.phase === 'committed' || taken.run?.phase === 'promoted',
    };
  },

  /** The third observer is asked here, since it left its word in the table of its own region. @throws FailoverRefused */
  async decide({ items, settings, run, now, request, evidence }: Step) {
    const asked = request as FailoverRequest;
    const seen = evidence as Evidence;
    const observers = [...seen.observers, await primaryRegion(settings, now)];
    const decision = decide(asked, settings, { ...seen, observers });
    if (asked.dryRun) return { ...decision, observers };
    await changeRole(items, (role) => roles.stillMine(role, run, now));
    if (decision.verdict === 'refuse') throw new PgdrError('FailoverRefused', decision.reasons.join(' '));
    return { ...decision, observers };
  },

  /** Leaves the token for `pgdr approve`, and tells everybody how to answer. */
  async ask({ items, settings, run, token = '', decision, operation = 'failover' }: Step) {
    await changeRole(items, (role) => roles.awaitApproval(role, run, token));
    const message = approvalMessage({ settings, run, operation, reasons: decision?.reasons ?? [] });
    const sns = new SNSClient({ maxAttempts: 4 });
    await sns.send(new PublishCommand({ TopicArn: process.env.TOPIC_ARN, Message: JSON.stringify(message) }));
    return {};
  },

  async reserve({ items, run, now }: Step) {
    const role = await changeRole(items, (before) => roles.reserve(roles.mark(before, run, 'decided', now), run, now));
    return { epoch: role.run?.epoch, reservedAt: role.run?.marks.reserved };
  },

  async fenced({ items, run, now, proof }: Step) {
    await changeRole(items, (role) => roles.recordFence(role, run, proof as roles.FenceProof, now));
    return {};
  },

  /** The point of no return. */
  async commit({ items, run, now }: Step) {
    const role = await changeRole(items, (before) => roles.commit(before, run, now));
    return { epoch: role.run?.epoch };
  },

  async promoted({ items, run, now }: Step) {
    const role = await changeRole(items, (before) => roles.recordPromotion(before, run, now));
    return { writer: role.writer, epoch: role.epoch };
  },

  /** What it cost, from the marks of the role item, which is let go. */
  async finish({ items, settings, run, now, ...event }: Step): Promise<Outcome> {
    const role = await readRole(items);
    const outcome = outcomeOf({ ...(event as unknown as Finished), settings, role, run, now });
    await changeRole(items, (before) => roles.release(before, run));
    publishEmbedded(settings.database, metricsOf(outcome));
    publishPhases(settings.database, phaseMetricsOf(outcome));
    return outcome;
  },
} satisfies Record<string, (step: Step) => Promise<object>>;

async function primaryRegion(settings: FailoverSettings, now: number): Promise<Observation> {
  const name = 'primary-region';
  try {
    const there = openStateItems(process.env.STATE_TABLE ?? '', settings.database, settings.primaryRegion);
    const probe = await readItem<ProbeItem>(there, `probe-${settings.primaryRegion}`);
    return observationOf(name, probe, settings.probeSeconds, now);
  } catch (error) {
    return { name, sees: 'unknown', detail: (error as Error).message };
  }
}

export const handler = defineHandler(async (event: Event): Promise<object> => {
  const settings = parseFailoverSettings(event.settings);
  const verb = (verbs as Record<string, (step: Step) => Promise<object>>)[event.verb];
  if (!verb) throw new PgdrError('RequestInvalid', `no such step: ${event.verb}`);
  const items = openStateItems(process.env.STATE_TABLE ?? '', settings.database, settings.region);
  return verb({ ...event, settings, items, now: Date.now() });
});
