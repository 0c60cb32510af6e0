import type { ProofLevel } from './outcome.ts';
import { type Check, checksOf, type DatabaseProof, failedChecks, type ProofReport, proofLevels } from './proof.ts';

const shows: Readonly<Record<ProofLevel, string>> = {
  L0: 'Every object is stored as it was written',
  L1: 'Every archive can be read to its end',
  L2: 'The restore met no error',
  L3: 'Structure, rows, references and rights are those of the source',
  L4: 'Every table has the content of the snapshot',
  L5: 'Indexes are sound, assertions hold, what would be lost is known',
};

/** The proof as a page for people: one file, no network, light and dark. */
export function proofPage(report: ProofReport): string {
  const verdict = report.holds
    ? `Proven to ${report.level}`
    : `Not proven: ${failedChecks(checksOf(report))[0]?.name ?? 'nothing held'}`;
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
    `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead><tbody>
${rows.map(row).join('\n')}
</tbody></table>`;
  const section = ({ name, level, checks, tables, rpoSeconds, rpoFrom }: DatabaseProof) => `
<h2>${escapeHtml(name)}: ${level ?? 'no level holds'}</h2>
<p>Measured RPO ${rpoSeconds.toFixed(0)} s by the ${rpoFrom}.</p>
${table(
  ['Level', 'Shows', ''],
  proofLevels.map((each) => [each, shows[each], markOfLevel(checks.filter((c) => c.level === each))]),
)}
<h3>Checks</h3>
${table(
  ['Level', 'Check', '', 'Detail'],
  checks.map((c) => [c.level, c.name, mark(c), c.detail]),
)}
<h3>Tables</h3>
${table(
  ['Table', 'Rows in the snapshot', 'Rows restored', 'Content'],
  tables.map((t) => [t.relation, t.expectedRows, t.rows ?? 'missing', t.hashesEqual ? 'equal' : 'DIFFERS']),
)}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(`${report.database} ${report.backupId}: ${verdict}`)}</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere }
h1 { color: ${report.holds ? '#1a7f37' : '#cf222e'} }
</style></head><body>
<h1>${escapeHtml(verdict)}</h1>
<p><b>${escapeHtml(report.database)}</b>, backup <code>${escapeHtml(report.backupId)}</code> of PostgreSQL
${escapeHtml(report.sourceVersion)}, restored into PostgreSQL ${escapeHtml(report.serverVersion)} on ${escapeHtml(report.startedAt)}.
Restore ${report.restoreSeconds.toFixed(1)} s, proof ${report.proofSeconds.toFixed(1)} s;
measured RPO ${report.rpoSeconds.toFixed(0)} s, RTO ${report.rtoSeconds.toFixed(0)} s.</p>
${report.databases.map(section).join('\n')}
</body></html>
`;
}

const mark = (check: Check) => (check.held ? 'holds' : check.unavailable ? 'not made' : 'FAILS');

function markOfLevel(checks: readonly Check[]): string {
  if (failedChecks(checks).length > 0) return 'FAILS';
  return checks.length > 0 && checks.every((c) => c.held) ? 'holds' : 'not made';
}

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
