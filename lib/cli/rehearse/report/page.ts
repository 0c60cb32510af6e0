import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { humanBytes, humanSeconds } from '../../../core/human.ts';
import { page } from '../../../core/page/document.ts';
import { type Html, html } from '../../../core/page/html.ts';
import { mark } from '../../../core/page/parts.ts';
import type { RehearsalResult } from '../result.ts';
import { plainText } from '../webhook.ts';
import { failoverSection } from './failover.ts';

/** The page that a rehearsal leaves: one file, no scripts, nothing fetched. */
export function writeReport(path: string, result: RehearsalResult): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, reportPage(result));
}

export function reportPage(result: RehearsalResult): string {
  const title = headline(result);
  return page({
    title,
    state: result.ok ? 'good' : 'bad',
    subtitle: `${result.startedAt} · ${humanSeconds(result.seconds)} in all · PostgreSQL ${result.postgres.version}`,
    footer: html`Written by <code>pgdr rehearse</code>: the deployed templates, run on a local cloud against a real PostgreSQL server.`,
    body: html`${tiles(result)}
${failure(result)}
${result.fault && faultSection(result.fault)}
${timeline(result)}
${checks('What was checked', result.checks)}
${backup(result)}
${proof(result)}
${failoverSection(result)}
${metrics(result)}
${slack(result)}`,
  });
}

function headline({ ok, fault, error, proof }: RehearsalResult): string {
  if (fault)
    return fault.held
      ? `Fault ${fault.name} ended as it must: ${fault.expectedError}`
      : `Fault ${fault.name} was not handled as it must be`;
  if (ok) return `Backup restored and proven equal to ${proof?.level ?? ''}`;
  return `Rehearsal failed: ${error?.name ?? 'a check did not hold'}`;
}

function tiles({ backup, proof, rpoSeconds, rtoSeconds, objectives, writeLoad, failover }: RehearsalResult): Html {
  const tile = (label: string, value: string | undefined, note: string) =>
    value === undefined
      ? undefined
      : html`<div class="tile"><span>${label}</span><b>${value}</b><span>${note}</span></div>`;
  const against = (measured: number, objective: number | undefined) =>
    objective === undefined ? '' : `objective ${humanSeconds(objective)}${measured > objective ? ', missed' : ''}`;
  return html`<div class="tiles">
${tile('Proof', proof && (proof.level ?? 'none'), proof ? `${proof.tables} tables, ${Number(proof.rows).toLocaleString('en')} rows` : '')}
${tile('RTO measured', rtoSeconds === undefined ? undefined : humanSeconds(rtoSeconds), against(rtoSeconds ?? 0, objectives?.rtoSeconds))}
${tile('RPO measured', rpoSeconds === undefined ? undefined : humanSeconds(rpoSeconds), against(rpoSeconds ?? 0, objectives?.rpoSeconds))}
${tile('Failover', failover && humanSeconds(failover.rtoSeconds), `${failover?.lostWrites} writes lost`)}
${tile('Backup', backup && humanBytes(backup.bytes), backup ? `of ${humanBytes(backup.rawBytes)} dumped` : '')}
${tile('Written meanwhile', writeLoad?.commits.toLocaleString('en'), 'acknowledged commits')}
</div>`;
}

function failure({ error }: RehearsalResult): Html | undefined {
  if (!error) return undefined;
  return html`<h2>What happened</h2><div class="card"><dl>
<dt>Error</dt><dd><b class="no">${error.name}</b>${error.step ? ` in “${error.step}”` : ''}</dd>
<dt>Message</dt><dd><pre>${error.message}</pre></dd>
${error.intact && html`<dt>Intact</dt><dd>${error.intact}</dd>`}
${error.tryNext && html`<dt>Try</dt><dd>${error.tryNext}</dd>`}
${error.runbook && html`<dt>Runbook</dt><dd><code>${error.runbook}</code></dd>`}
</dl></div>`;
}

const faultSection = (fault: NonNullable<RehearsalResult['fault']>): Html =>
  html`<h2>Injected fault: ${fault.name}</h2><p>${fault.summary}</p>${checks('How the system ended', fault.checks)}`;

function timeline({ steps }: RehearsalResult): Html {
  const from = Math.min(0, ...steps.map((step) => step.offset));
  const whole = Math.max(0.001, ...steps.map((step) => step.offset + step.seconds)) - from;
  const percent = (seconds: number) => ((seconds / whole) * 100).toFixed(3);
  const ordered = [...steps].sort((a, b) => a.offset - b.offset);
  return html`<h2>Timeline</h2><div class="card"><div class="timeline">
${ordered.map(
  (step) => html`<div class="step${step.inner ? ' inner' : ''}">
  <span class="name${step.ok ? '' : ' no'}">${step.ok ? '' : '✗ '}${step.name}</span>
  <span class="track" title="${step.detail ?? step.name}"><span class="bar ${step.group}${step.ok ? '' : ' bad'}" style="left:${percent(step.offset - from)}%;width:${percent(step.seconds)}%"></span></span>
  <span class="time">${humanSeconds(step.seconds)}</span></div>`,
)}
</div><div class="legend"><span><i style="background:var(--prepare)"></i>preparation</span><span><i style="background:var(--backup)"></i>backup-logical</span><span><i style="background:var(--restore)"></i>restore-test</span><span><i style="background:var(--warn)"></i>failover and failback</span></div></div>`;
}

function checks(title: string, list: RehearsalResult['checks']): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>${title}</h2><div class="scroll"><table><tbody>
${list.map((one) => html`<tr><td>${mark(one.ok)}</td><td>${one.name}</td><td class="dim">${one.detail}</td></tr>`)}
</tbody></table></div>`;
}

function backup({ backup, sourceBytes }: RehearsalResult): Html | undefined {
  if (!backup) return undefined;
  const ratio = backup.bytes > 0 ? (backup.rawBytes / backup.bytes).toFixed(2) : '–';
  return html`<h2>Backup</h2><div class="card"><dl>
<dt>Id</dt><dd><code>${backup.id}</code></dd>
<dt>Snapshot taken</dt><dd>${backup.takenAt}</dd>
<dt>Manifest</dt><dd><code>${backup.manifestKey}</code></dd>
<dt>Stored</dt><dd>${humanBytes(backup.bytes)} of ${humanBytes(backup.rawBytes)} dumped (${ratio} : 1)${sourceBytes === undefined ? '' : `, from ${humanBytes(sourceBytes)} in the server`}</dd>
<dt>Content</dt><dd>${backup.tables} tables in ${backup.objects} objects</dd>
<dt>Took</dt><dd>${humanSeconds(backup.taskSeconds)}, of which ${humanSeconds(backup.uploadSeconds)} streaming</dd>
<dt>Read back</dt><dd>${backup.verifiedAt ?? 'no'}</dd>
</dl></div>`;
}

function proof({ proof }: RehearsalResult): Html | undefined {
  if (!proof) return undefined;
  return html`<h2>Proof, level by level</h2><div class="scroll"><table><thead><tr><th>Level</th><th>Check</th><th>Verdict</th><th>Detail</th></tr></thead><tbody>
${proof.checks.map((one) => html`<tr><td>${one.level}</td><td>${one.name}</td><td>${mark(one.held)}</td><td class="dim">${one.detail}</td></tr>`)}
</tbody></table></div>
<h2>Proof, table by table</h2><div class="scroll"><table><thead><tr><th>Table</th><th class="n">Rows in the snapshot</th><th class="n">Rows restored</th><th>Content</th></tr></thead><tbody>
${proof.perTable.map((table) => html`<tr><td><code>${table.relation}</code></td><td class="n">${table.expectedRows}</td><td class="n">${table.rows ?? 'missing'}</td><td>${table.hashesEqual ? html`<span class="ok">equal</span>` : html`<span class="no">differs</span>`}</td></tr>`)}
</tbody></table></div>
<p class="dim">Report in the bucket: <code>${proof.reportKey}</code></p>`;
}

function metrics({ metrics }: RehearsalResult): Html | undefined {
  const entries = Object.entries(metrics);
  if (entries.length === 0) return undefined;
  return html`<h2>Metrics, as CloudWatch has them</h2><div class="scroll"><table><tbody>
${entries.map(([name, value]) => html`<tr><td><code>${name}</code></td><td class="n">${Number(value).toLocaleString('en', { maximumFractionDigits: 3 })}</td></tr>`)}
</tbody></table></div>`;
}

function slack({ slack }: RehearsalResult): Html | undefined {
  if (slack.messages.length === 0) return undefined;
  return html`<h2>What Slack was told</h2>
${slack.messages.map((message) => html`<div class="card slack"><b>${message.text}</b><pre>${plainText(message).split('\n').slice(1).join('\n')}</pre></div>`)}`;
}
