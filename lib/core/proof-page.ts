import { humanSeconds } from './human.ts';
import type { ProofLevel } from './outcome.ts';
import { page } from './page/document.ts';
import { type Html, html } from './page/html.ts';
import { table, tile, tiles } from './page/parts.ts';
import { type Check, checksOf, type DatabaseProof, failedChecks, type ProofReport, proofLevels } from './proof.ts';

export const showsOfLevel: Readonly<Record<ProofLevel, string>> = {
  L0: 'Every object is stored as it was written',
  L1: 'Every archive can be read to its end',
  L2: 'The restore met no error',
  L3: 'Structure, rows, references and rights are those of the source',
  L4: 'Every table has the content of the snapshot',
  L5: 'Indexes are sound, assertions hold, what would be lost is known',
};

/** The proof as a page for people. */
export function proofPage(report: ProofReport): string {
  const verdict = report.holds
    ? `Proven to ${report.level}${report.databases.some(({ partial }) => partial !== null) ? ', of a partial backup' : ''}`
    : `Not proven: ${failedChecks(checksOf(report))[0]?.name ?? 'nothing held'}`;
  return page({
    title: verdict,
    state: report.holds ? 'good' : 'bad',
    subtitle: html`<b>${report.database}</b>, backup <code>${report.backupId}</code>, ${report.startedAt}`,
    body: html`${tiles([
      tile('Restored into', `PostgreSQL ${report.serverVersion}`, `from ${report.sourceVersion}`),
      tile(
        'RTO measured',
        humanSeconds(report.rtoSeconds),
        `restore ${humanSeconds(report.restoreSeconds)}, proof ${humanSeconds(report.proofSeconds)}`,
      ),
      tile('RPO measured', humanSeconds(report.rpoSeconds), 'age of the data when the test began'),
    ])}
${report.databases.map(section)}`,
    footer: html`Written by a restore test of pgdr: the backup was restored into a throwaway server and compared.`,
  });
}

const section = ({ name, level, partial, checks, tables, rpoSeconds, rpoFrom }: DatabaseProof): Html => html`
<h2>${name}: ${level ?? 'no level holds'}</h2>
${partial === null ? '' : html`<p><b>A partial backup, and a proof of that part alone:</b> ${partial}.</p>`}
<p>Measured RPO ${humanSeconds(rpoSeconds)} by the ${rpoFrom}.</p>
${table(
  `Levels of ${name}`,
  ['Level', 'Shows', 'Verdict'],
  proofLevels.map((each) => [each, showsOfLevel[each], markOfLevel(checks.filter((c) => c.level === each))]),
)}
<h3>Checks</h3>
${table(
  `Checks of ${name}`,
  ['Level', 'Check', 'Verdict', 'Detail'],
  checks.map((c) => [c.level, c.name, mark(c), c.detail]),
)}
<h3>Tables</h3>
${table(
  `Tables of ${name}`,
  ['Table', 'Rows in the snapshot', 'Rows restored', 'Content'],
  tables.map((t) => [t.relation, t.expectedRows, t.rows ?? 'missing', t.hashesEqual ? good('equal') : bad('DIFFERS')]),
  [1, 2],
)}`;

const good = (text: string) => html`<span class="ok">${text}</span>`;
const bad = (text: string) => html`<span class="no">${text}</span>`;

const mark = (check: Check): Html | string =>
  check.held ? good('holds') : check.unavailable ? 'not made' : bad('FAILS');

function markOfLevel(checks: readonly Check[]): Html | string {
  if (failedChecks(checks).length > 0) return bad('FAILS');
  return checks.length > 0 && checks.every((c) => c.held) ? good('holds') : 'not made';
}
