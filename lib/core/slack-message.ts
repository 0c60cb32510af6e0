import { humanBytes, humanSeconds } from './human.ts';
import type { Outcome } from './outcome.ts';

/** An outcome as one Slack message (Block Kit, https://docs.slack.dev/reference/block-kit). */

export interface SlackMessage {
  /** Shown where blocks are not: notifications, screen readers. */
  readonly text: string;
  readonly blocks: readonly Record<string, unknown>[];
}

/** Slack's limits: 3,000 characters in a section's text, 2,000 in a field, 150 in a header, ten fields a section. */
const limits = { section: 3000, field: 2000, header: 150, fields: 10 } as const;

const titles = {
  'backup-logical': { ok: 'Backup taken and verified', failed: 'Backup FAILED' },
  'restore-test': { ok: 'Restore proven', failed: 'Restore test FAILED' },
  restore: { ok: 'Restored', failed: 'Restore FAILED' },
} as const;

export function slackMessage(outcome: Outcome): SlackMessage {
  const title = titles[outcome.workflow][outcome.ok ? 'ok' : 'failed'];
  const headline = `${outcome.ok ? '✅' : '🚨'} ${title}: ${outcome.database}`;
  const { failure } = outcome;
  return {
    text: cut(escapeText(failure ? `${headline}: ${failure.error} in "${failure.step}"` : headline), limits.section),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(headline, limits.header), emoji: true } },
      ...(failure ? failureBlocks(failure) : []),
      { type: 'section', fields: facts(outcome).slice(0, limits.fields).map(field) },
      {
        type: 'context',
        elements: [{ type: 'mrkdwn', text: `<${outcome.executionUrl}|execution> · ${escapeText(outcome.region)}` }],
      },
    ],
  };
}

function failureBlocks(failure: NonNullable<Outcome['failure']>): Record<string, unknown>[] {
  const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text } });
  // The code fence must close inside the limit, whatever the message holds.
  const message = cut(escapeText(failure.message).replaceAll('```', "'''"), limits.section - 400);
  return [
    section(`*${escapeText(failure.error)}* in step *${escapeText(failure.step)}*\n\`\`\`${message}\`\`\``),
    section(
      `*Intact:* ${escapeText(failure.intact)}\n*Try:* ${escapeText(failure.tryNext)}\n*Runbook:* ${escapeText(failure.runbook)}`,
    ),
  ];
}

/** Label and value pairs, most telling first. */
function facts({ backup, proof, restore, objectives, durationSeconds, workflow }: Outcome): [string, string][] {
  const pairs: [string, string][] = [];
  if (backup) {
    pairs.push(['Backup', backup.id], ['Taken', backup.takenAt]);
    pairs.push(['Size', `${humanBytes(backup.bytes)} of ${humanBytes(backup.rawBytes)}`]);
    pairs.push(['Content', `${backup.tables} tables in ${backup.objects} objects`]);
    if (backup.skipped > 0) pairs.push(['Left out', `${backup.skipped}, see the manifest`]);
  }
  if (proof) {
    pairs.push(
      ['Backup', proof.backupId],
      ['Proof', `${proof.level ?? 'none'}, ${proof.tables} tables, ${proof.rows} rows`],
    );
    pairs.push(['RTO measured', against(proof.rtoSeconds, objectives.rtoSeconds)]);
    pairs.push(['RPO measured', against(proof.rpoSeconds, objectives.rpoSeconds)]);
  }
  if (restore) {
    pairs.push(['Backup', restore.backupId], ['Taken', restore.takenAt]);
    pairs.push(['Into', `${restore.toDatabase} on ${restore.host}`]);
    if (restore.toSchema !== null) pairs.push(['Schema', restore.toSchema]);
    pairs.push(['Content', `${restore.tables} tables, ${restore.rows} rows, equal to the backup`]);
    const omitted = restore.omitted.length + restore.moreOmitted;
    if (omitted > 0) pairs.push(['Not restored', `${omitted}, see the execution`]);
  }
  pairs.push([workflow === 'restore-test' ? 'Test took' : 'Took', humanSeconds(durationSeconds)]);
  return pairs;
}

const against = (measured: number, objective: number): string =>
  `${humanSeconds(measured)}, objective ${humanSeconds(objective)}${measured > objective ? ' ⚠️ missed' : ''}`;

const field = ([label, value]: [string, string]) => ({
  type: 'mrkdwn',
  text: cut(`*${escapeText(label)}*\n${escapeText(value)}`, limits.field),
});

/** Slack gives meaning to these three alone: https://docs.slack.dev/messaging/formatting-message-text#escaping */
const escapeText = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
