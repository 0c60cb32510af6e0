import { humanBytes, humanSeconds } from '../human.ts';
import type { DrillSummary } from '../outcome.ts';
import { page } from '../page/document.ts';
import { html } from '../page/html.ts';
import { facts, table, tile, tiles } from '../page/parts.ts';

/** A drill as a page for people. */
export function drillPage(
  drill: DrillSummary & {
    readonly database: string;
    readonly startedAt: string;
    readonly objectives: { readonly rpoSeconds: number; readonly rtoSeconds: number };
  },
): string {
  const { regressions, phases, loss, compared, objectives } = drill;
  const title = regressions.length === 0 ? 'The drill held' : `The drill held, and is worse: ${regressions[0]}`;
  return page({
    title,
    state: regressions.length === 0 ? 'good' : 'warn',
    subtitle: html`<b>${drill.database}</b>, drill <code>${drill.id}</code>, ${drill.startedAt}`,
    body: html`${tiles([
      tile('RTO known', humanSeconds(drill.rtoSeconds), `objective ${humanSeconds(objectives.rtoSeconds)}`),
      tile('Would have been lost', lossText(loss), `objective ${humanSeconds(objectives.rpoSeconds)}`),
      tile('Content', `${compared.tables} of ${compared.of} tables equal`, compared.note ?? `${compared.rows} rows`),
    ])}
<h2>RTO by phase</h2>
${table(
  'RTO by phase',
  ['Phase', 'Time', 'How it is known', ''],
  phases.map(({ phase, seconds, how, note }) => [
    phase,
    seconds === null ? 'not known' : humanSeconds(seconds),
    how,
    note,
  ]),
)}
<h2>What was done</h2>
${facts([
  ['Copied from the standby', `${humanBytes(drill.bytes)} in ${humanSeconds(drill.copySeconds)}`],
  ['Caught up', humanSeconds(drill.catchUpSeconds)],
  ['Cut off', `${drill.cutAt}, at ${drill.lsn}`],
  ['Promoted', `PostgreSQL ${drill.serverVersion}, timeline ${drill.timelines[0]} to ${drill.timelines[1]}`],
  ['Sequences taken ahead', drill.sequences.bumped],
  ['Sequences without room', drill.sequences.exhausted.join(', ') || 'none'],
  ['Worse than before', regressions.join('; ') || 'nothing'],
  ['Compared with drill', drill.lastId ?? 'none before'],
])}`,
    footer: html`Written by a drill of pgdr: a throwaway replica of the standby was promoted in isolation, and removed.`,
  });
}

export const lossText = (loss: DrillSummary['loss']): string => {
  if (loss === null) return 'unknown';
  const upper = loss.upperSeconds === null ? 'unknown' : humanSeconds(loss.upperSeconds);
  return `${humanSeconds(loss.lowerSeconds)} to ${upper}`;
};
