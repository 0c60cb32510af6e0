import { humanBytes, humanSeconds } from '../../core/human.ts';
import { formatTable, type Output } from '../output.ts';
import { reportedLoss } from './report/failover.ts';
import type { RehearsalResult } from './result.ts';

/** The end of a rehearsal on a terminal. */
export function renderSummary(result: RehearsalResult, output: Output): string {
  const lines: string[] = [''];
  const facts = [...factsOf(result), ...failoverFacts(result)];
  if (facts.length > 0) lines.push(formatTable(['Measured', ''], facts), '');
  const checks = [...result.checks, ...(result.fault?.checks ?? [])];
  for (const { ok, name, detail } of checks) {
    lines.push(
      `${ok ? output.paint('good', '✓') : output.paint('bad', '✗')} ${name.padEnd(38)} ${output.paint('dim', detail)}`,
    );
  }
  if (result.error) lines.push('', ...errorLines(result.error, output));
  const verdict = verdictOf(result);
  lines.push('', output.paint(result.ok || result.fault?.held ? 'good' : 'bad', output.paint('strong', verdict)));
  lines.push(`Report: ${result.reportPath}`);
  return lines.join('\n');
}

export function errorLines(error: NonNullable<RehearsalResult['error']>, output: Output): string[] {
  return [
    `${output.paint('bad', error.name)}${error.step ? ` in “${error.step}”` : ''}: ${error.message}`,
    ...(error.intact ? [`Intact:  ${error.intact}`] : []),
    ...(error.tryNext ? [`Try:     ${error.tryNext}`] : []),
    ...(error.runbook ? [`Runbook: ${error.runbook}`] : []),
  ];
}

function verdictOf({ ok, fault, seconds, proof }: RehearsalResult): string {
  const took = humanSeconds(seconds);
  if (fault) {
    return fault.held
      ? `The fault ${fault.name} ended as it must, with ${fault.expectedError}. ${took}.`
      : `The fault ${fault.name} did not end as it must (${fault.expectedError}). ${took}.`;
  }
  return ok ? `Restored and proven to ${proof?.level}. ${took} in all.` : `The rehearsal failed after ${took}.`;
}

/** What a failover cost, phase by phase. */
function failoverFacts({ failover: rehearsed, failoverOmitted }: RehearsalResult): string[][] {
  if (failoverOmitted !== undefined) return [['Failover', `not rehearsed: ${failoverOmitted}`]];
  if (!rehearsed) return [];
  const { failover, failback } = rehearsed;
  return [
    ['Failover', `${humanSeconds(rehearsed.rtoSeconds)} from the loss of the primary to the first write by name`],
    ['', failover.phases.map(({ phase, seconds }) => `${phase} ${humanSeconds(seconds)}`).join(' · ')],
    [
      'Lost',
      `${rehearsed.lostWrites} writes, ${humanSeconds(rehearsed.lostSeconds)}; reported ${reportedLoss(rehearsed)}`,
    ],
    [
      'Failback',
      `${humanSeconds(rehearsed.failbackGapSeconds)} without a write, fence: ${failback.fence?.fence ?? 'none'}`,
    ],
  ];
}

function factsOf(result: RehearsalResult): string[][] {
  const { backup, proof, rpoSeconds, rtoSeconds, objectives, writeLoad, metrics } = result;
  const rows: string[][] = [];
  if (backup) {
    rows.push(
      ['Backup', backup.id],
      [
        'Size',
        `${humanBytes(backup.bytes)} stored of ${humanBytes(backup.rawBytes)} dumped (${(backup.rawBytes / Math.max(1, backup.bytes)).toFixed(2)} : 1)`,
      ],
      ['Content', `${backup.tables} tables in ${backup.objects} objects`],
      ['Read back', backup.verifiedAt ?? 'no'],
    );
  }
  if (proof) {
    const equal = proof.perTable.filter((table) => table.hashesEqual).length;
    rows.push([
      'Proof',
      `${proof.level ?? 'none'}: ${equal} of ${proof.tables} tables equal, ${Number(proof.rows).toLocaleString('en')} rows`,
    ]);
  }
  if (rtoSeconds !== undefined) rows.push(['RTO', against(rtoSeconds, objectives?.rtoSeconds)]);
  if (rpoSeconds !== undefined) rows.push(['RPO', against(rpoSeconds, objectives?.rpoSeconds)]);
  if (writeLoad)
    rows.push([
      'Write load',
      `${writeLoad.commits.toLocaleString('en')} commits, ${writeLoad.perSecond.toFixed(0)} a second`,
    ]);
  const published = Object.entries(metrics);
  if (published.length > 0)
    rows.push(['Metrics', published.map(([name, value]) => `${name} ${round(value)}`).join(', ')]);
  if (result.slack.messages.length > 0)
    rows.push(['Slack', result.slack.messages.map((message) => message.text).join(' | ')]);
  return rows;
}

const against = (measured: number, objective: number | undefined): string =>
  `${humanSeconds(measured)}${objective === undefined ? '' : `, objective ${humanSeconds(objective)}${measured > objective ? ': MISSED' : ''}`}`;

const round = (value: number): string => String(Math.round(value * 100) / 100);
