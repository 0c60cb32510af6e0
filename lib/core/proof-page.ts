import type { ProofReport } from './proof.ts';

/** The proof as a page for people: one file, no network, light and dark. */
export function proofPage(report: ProofReport): string {
  const verdict = report.holds ? `Proven to ${report.level}` : `Not proven (${report.level ?? 'no level'} held)`;
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  const mark = (held: boolean) => (held ? 'holds' : 'FAILS');
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
<p>Database <b>${escapeHtml(report.database)}</b>, backup <code>${escapeHtml(report.backupId)}</code>, restored into
PostgreSQL ${escapeHtml(report.serverVersion)} on ${escapeHtml(report.startedAt)}.
Restore ${report.restoreSeconds.toFixed(1)} s, proof ${report.proofSeconds.toFixed(1)} s;
measured RPO ${report.rpoSeconds.toFixed(0)} s, RTO ${report.rtoSeconds.toFixed(0)} s.</p>
<table><thead><tr><th>Level</th><th>Check</th><th></th><th>Detail</th></tr></thead><tbody>
${report.checks.map((c) => row([c.level, c.name, mark(c.held), c.detail])).join('\n')}
</tbody></table>
<table><thead><tr><th>Table</th><th>Rows in the snapshot</th><th>Rows restored</th><th>Content</th></tr></thead><tbody>
${report.tables.map((t) => row([t.relation, t.expectedRows, t.rows ?? 'missing', t.hashesEqual ? 'equal' : 'DIFFERS'])).join('\n')}
</tbody></table>
</body></html>
`;
}

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
