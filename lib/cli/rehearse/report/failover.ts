import { humanSeconds } from '../../../core/human.ts';
import { type Html, html } from '../../../core/page/html.ts';
import type { FailoverRehearsal } from '../failover/rehearse-failover.ts';

/** What the failover and the failback of a rehearsal cost. */
export function failoverSection({ failover: rehearsed, failoverOmitted }: FailoverParts): Html | undefined {
  if (failoverOmitted !== undefined) return html`<h2>Failover</h2><p>Not rehearsed: ${failoverOmitted}</p>`;
  if (rehearsed === undefined) return undefined;
  const { failover, failback } = rehearsed;
  return html`<h2>Failover, phase by phase</h2>
<p>From the last probe that the primary answered; the first write by name came ${humanSeconds(rehearsed.rtoSeconds)} after the primary was lost.</p>
<div class="scroll"><table><thead><tr><th>Phase</th><th class="n">Took</th></tr></thead><tbody>
${failover.phases.map(({ phase, seconds }) => html`<tr><td>${phase}</td><td class="n">${humanSeconds(seconds)}</td></tr>`)}
<tr><td><b>RTO</b></td><td class="n"><b>${humanSeconds(failover.rtoSeconds)}</b></td></tr>
</tbody></table></div>
<div class="card"><dl>
<dt>Fence</dt><dd>${failover.fence?.evidence ?? 'none'}</dd>
<dt>Lost</dt><dd>${rehearsed.lostWrites} of ${rehearsed.acknowledged} acknowledged writes, ${humanSeconds(rehearsed.lostSeconds)}; ${reportedLoss(rehearsed)} was reported</dd>
<dt>Failback</dt><dd>${humanSeconds(rehearsed.failbackGapSeconds)} without a write; ${failback.fence?.evidence ?? 'no fence'}</dd>
</dl></div>`;
}

export interface FailoverParts {
  readonly failover?: FailoverRehearsal;
  /** Why there was none. */
  readonly failoverOmitted?: string;
}

/** `0 s to 0.4 s`, as the failover reported it. */
export function reportedLoss({ failover: { loss } }: FailoverRehearsal): string {
  if (loss === null) return 'nothing known';
  const upper = loss.upperSeconds === null ? 'unknown' : humanSeconds(loss.upperSeconds);
  return `${humanSeconds(loss.lowerSeconds)} to ${upper}`;
}
