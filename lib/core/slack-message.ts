import { runbookLink } from './alarm-text.ts';
import type { ApprovalMessage } from './failover/message.ts';
import { humanBytes, humanSeconds } from './human.ts';
import type { BackupSummary, Outcome, Workflow } from './outcome.ts';
import { link } from './slack-alarm.ts';
import { cut, escapeText, limits, type SlackMessage, section } from './slack-text.ts';

/** An outcome as one Slack message. */

const titles = {
  'backup-logical': { ok: 'Backup taken and verified', failed: 'Backup FAILED' },
  'backup-physical': { ok: 'Base backup taken and verified', failed: 'Base backup FAILED' },
  'restore-test': { ok: 'Restore proven', failed: 'Restore test FAILED' },
  restore: { ok: 'Restored', failed: 'Restore FAILED' },
  retention: { ok: 'Retention applied', failed: 'Retention FAILED' },
  verify: { ok: 'Backup read back', failed: 'Verification FAILED' },
  failover: { ok: 'Failed over', failed: 'Failover FAILED' },
  failback: { ok: 'Failed back', failed: 'Failback FAILED' },
  drill: { ok: 'Drill held', failed: 'Drill FAILED' },
} as const;

/** Whether a message is that of an outcome of this workflow, by what {@link slackMessage} begins it with. */
export const tellsOutcome = ({ text }: Pick<SlackMessage, 'text'>, workflow: Workflow): boolean =>
  Object.values(titles[workflow]).some((title) => text.includes(`${title}: `));

/** `runbooks`: the URL below which people find them; a path of the repository is named without it. */
export function slackMessage(outcome: Outcome, runbooks?: string): SlackMessage {
  const title = titles[outcome.workflow][outcome.ok ? 'ok' : 'failed'];
  const headline = `${outcome.ok ? '✅' : '🚨'} ${title}: ${outcome.database}`;
  const { failure } = outcome;
  return {
    text: cut(escapeText(failure ? `${headline}: ${failure.error} in "${failure.step}"` : headline), limits.section),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(headline, limits.header), emoji: true } },
      ...(failure ? failureBlocks(failure, runbooks) : []),
      { type: 'section', fields: facts(outcome).slice(0, limits.fields).map(field) },
      {
        type: 'context',
        elements: [{ type: 'mrkdwn', text: `<${outcome.executionUrl}|execution> · ${escapeText(outcome.region)}` }],
      },
    ],
  };
}

function failureBlocks(
  failure: NonNullable<Outcome['failure']>,
  runbooks: string | undefined,
): Record<string, unknown>[] {
  // The code fence must close inside the limit, whatever the message holds.
  const message = cut(escapeText(failure.message).replaceAll('```', "'''"), limits.section - 400);
  return [
    section(`*${escapeText(failure.error)}* in step *${escapeText(failure.step)}*\n\`\`\`${message}\`\`\``),
    section(
      `*Intact:* ${escapeText(failure.intact)}\n*Try:* ${escapeText(failure.tryNext)}\n*Runbook:* ${link(runbookOf(failure.runbook, runbooks))}`,
    ),
  ];
}

/** Label and value pairs, most telling first. */
function facts({
  backup,
  proof,
  restore,
  retention,
  verification,
  failover,
  drill,
  objectives,
  durationSeconds,
  workflow,
}: Outcome): [string, string][] {
  const pairs: [string, string][] = [];
  if (backup) {
    pairs.push(['Backup', backup.id], ['Taken', backup.takenAt]);
    pairs.push(['Size', `${humanBytes(backup.bytes)} of ${humanBytes(backup.rawBytes)}`]);
    if (backup.physical) pairs.push(...baseBackupFacts(backup.physical));
    else pairs.push(['Content', `${backup.tables} tables in ${backup.objects} objects`]);
    if (backup.partial !== null) pairs.push(['Partial', `${backup.adhoc ? 'as asked: ' : ''}${backup.partial}`]);
    if (backup.skipped > 0) pairs.push(['Left out', `${backup.skipped}, see the manifest`]);
  }
  if (proof) {
    pairs.push(
      ['Backup', proof.backupId],
      ['Proof', `${proof.level ?? 'none'}, ${proof.tables} tables, ${proof.rows} rows`],
    );
    if (proof.partial !== null) pairs.push(['Partial', `a proof of this part alone: ${proof.partial}`]);
    pairs.push(['RTO measured', against(proof.rtoSeconds, objectives.rtoSeconds)]);
    pairs.push(['RPO measured', against(proof.rpoSeconds, objectives.rpoSeconds)]);
  }
  if (restore) {
    pairs.push(['Backup', restore.backupId], ['Taken', restore.takenAt]);
    pairs.push(['Into', `${restore.toDatabase} on ${restore.host}`]);
    if (restore.partial !== null) pairs.push(['Partial', `the backup is not of everything: ${restore.partial}`]);
    if (restore.toSchema !== null) pairs.push(['Schema', restore.toSchema]);
    pairs.push(['Content', `${restore.tables} tables, ${restore.rows} rows, equal to the backup`]);
    const omitted = restore.omitted.length + restore.moreOmitted;
    if (omitted > 0) pairs.push(['Not restored', `${omitted}, see the execution`]);
  }
  if (verification) {
    pairs.push(['Backup', verification.backupId]);
    pairs.push(['Read', `${humanBytes(verification.bytes)} in ${verification.objects} objects, as the manifest says`]);
  }
  if (retention) {
    pairs.push(['Backups', `${retention.kept} kept, ${retention.expired} expired`]);
    pairs.push(
      ['Removed', `${retention.objects} objects, ${humanBytes(retention.bytes)}`],
      ['Plan', retention.planKey],
    );
  }
  if (drill) {
    const { compared, loss, regressions } = drill;
    const [promoted] = drill.phases.filter(({ phase }) => phase === 'promoted');
    pairs.push(['RTO known', against(drill.rtoSeconds, objectives.rtoSeconds)]);
    pairs.push(['Promotion', humanSeconds(promoted?.seconds ?? 0)]);
    if (loss && loss.upperSeconds !== null)
      pairs.push(['Would be lost', against(loss.upperSeconds, objectives.rpoSeconds)]);
    pairs.push(['Content', `${compared.tables} of ${compared.of} tables equal`]);
    pairs.push(['Worse', regressions.join('; ') || 'nothing'], ['Evidence', drill.reportKey]);
  }
  if (failover) {
    const { loss } = failover;
    pairs.push(['Writer', `${failover.from} → ${failover.to}, epoch ${failover.epoch}`], ['Name', failover.name]);
    if (failover.operation === 'failback') pairs.push(['Without a writer', humanSeconds(failover.rtoSeconds)]);
    else pairs.push(['RTO measured', against(failover.rtoSeconds, objectives.rtoSeconds)]);
    if (loss)
      pairs.push([
        'Lost',
        `${humanSeconds(loss.lowerSeconds)} to ${loss.upperSeconds === null ? 'unknown' : humanSeconds(loss.upperSeconds)}`,
      ]);
    if (failover.fence) pairs.push(['Fence', `${failover.fence.fence}: ${failover.fence.evidence}`]);
    pairs.push(['Old writer', failover.oldWriter]);
    if (failover.diverged)
      pairs.push([
        'Undone',
        `${failover.diverged.transactions} transactions that only it had: ${failover.diverged.key}`,
      ]);
  }
  pairs.push([workflow === 'restore-test' ? 'Test took' : 'Took', humanSeconds(durationSeconds)]);
  return pairs;
}

function baseBackupFacts({
  startLsn,
  stopLsn,
  parentId,
  fullBecause,
}: NonNullable<BackupSummary['physical']>): [string, string][] {
  const pairs: [string, string][] = [['WAL', `${startLsn} to ${stopLsn}`]];
  if (parentId !== null) pairs.push(['Builds on', parentId]);
  if (fullBecause !== null) pairs.push(['Full because', fullBecause]);
  return pairs;
}

/** Asks for an approval, with the commands that answer. */
export function approvalSlackMessage(message: ApprovalMessage): SlackMessage {
  const headline = `✋ ${message.operation} of ${message.database} waits for an approval`;
  const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text: cut(text, limits.section) } });
  return {
    text: cut(escapeText(`${headline}: ${message.reasons.join(' ')}`), limits.section),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(headline, limits.header), emoji: true } },
      section(message.reasons.map((reason) => `• ${escapeText(reason)}`).join('\n') || 'An approval was asked for.'),
      section(`*Approve:*\n\`\`\`${escapeText(message.approve)}\`\`\``),
      section(`*Abort:*\n\`\`\`${escapeText(message.abort)}\`\`\``),
    ],
  };
}

const against = (measured: number, objective: number): string =>
  `${humanSeconds(measured)}, objective ${humanSeconds(objective)}${measured > objective ? ' ⚠️ missed' : ''}`;

const field = ([label, value]: [string, string]) => ({
  type: 'mrkdwn',
  text: cut(`*${escapeText(label)}*\n${escapeText(value)}`, limits.field),
});

/** A failure names its runbook by the path in the repository. */
const runbookOf = (path: string, base: string | undefined): string =>
  runbookLink(path.replace(/^.*\/|\.md$/g, ''), base);
