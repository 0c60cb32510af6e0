import type { Evidence } from './evidence.ts';
import type { FailoverRequest } from './request.ts';

export interface Decision {
  /** `refuse`: no approval and no force changes it. */
  readonly verdict: 'go' | 'approve' | 'refuse';
  /** Sentences, the weightiest first. */
  readonly reasons: readonly string[];
}

export interface DecisionLimits {
  readonly automatic: boolean;
  readonly maxLossSeconds: number;
}

/** So many of the observers have to see the primary down for a failover that nobody approves. */
const observersNeeded = 2;

/** Whether to fail over, going by the evidence. It never says go where a person might have to answer for it. */
export function decide(request: FailoverRequest, limits: DecisionLimits, evidence: Evidence): Decision {
  const refusals = refusalsOf(evidence);
  if (refusals.length > 0) return { verdict: 'refuse', reasons: refusals };
  const doubts = doubtsOf(request, limits, evidence);
  if (doubts.length === 0) return { verdict: 'go', reasons: ['The evidence leaves no doubt.'] };
  if (request.force && request.startedBy === 'operator') {
    return { verdict: 'go', reasons: ['Forced by the operator.', ...doubts] };
  }
  return { verdict: 'approve', reasons: doubts };
}

/** A promotion of such a server loses more than it saves, whoever wants it. */
function refusalsOf({ standby }: Evidence): string[] {
  const refusals: string[] = [];
  if (!standby.reachable) refusals.push(`The standby cannot be reached: ${standby.detail}.`);
  else if (!standby.inRecovery) refusals.push('The standby is not a standby: it accepts writes already.');
  else if (standby.heartbeatAgeSeconds === null && !standby.streaming)
    refusals.push('The standby neither streams nor holds a heartbeat: what it holds is of unknown age.');
  if (standby.replayPaused) refusals.push('Replay is paused on the standby: resume it with pg_wal_replay_resume().');
  return refusals;
}

function doubtsOf(request: FailoverRequest, limits: DecisionLimits, evidence: Evidence): string[] {
  const doubts: string[] = [];
  const seen = (what: string) => evidence.observers.filter(({ sees }) => sees === what);
  const up = seen('up');
  if (up.length > 0) {
    doubts.push(`The primary looks healthy to ${up.map(({ name, detail }) => `${name} (${detail})`).join(', ')}.`);
  }
  const down = seen('down');
  if (down.length < observersNeeded) {
    doubts.push(`${down.length} of ${evidence.observers.length} observers see it down; ${observersNeeded} are needed.`);
  }
  const maxLoss = request.maxLossSeconds ?? limits.maxLossSeconds;
  if (!evidence.synchronous) {
    if (evidence.lossSeconds === null) doubts.push('Nobody knows how much would be lost.');
    else if (evidence.lossSeconds > maxLoss)
      doubts.push(`Up to ${evidence.lossSeconds.toFixed(1)} s would be lost; the limit is ${maxLoss} s.`);
  }
  if (evidence.fences.length === 0 && !evidence.synchronous && request.attest === null) {
    doubts.push(
      'No fence is configured and the standby is not synchronous: a person has to attest that the primary is off.',
    );
  }
  if (request.startedBy === 'alarm' && !limits.automatic) doubts.push('Automatic failover is switched off.');
  if (request.approval === 'always') doubts.push('An approval was asked for.');
  return doubts;
}
