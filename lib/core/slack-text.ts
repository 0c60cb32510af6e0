/** What Slack's messages are made of (Block Kit, https://docs.slack.dev/reference/block-kit). */

export interface SlackMessage {
  /** Shown where blocks are not: notifications, screen readers. */
  readonly text: string;
  readonly blocks: readonly Record<string, unknown>[];
}

/** Slack's limits: 3,000 characters in a section's text, 2,000 in a field, 150 in a header, ten fields a section. */
export const limits = { section: 3000, field: 2000, header: 150, fields: 10 } as const;

/** Slack gives meaning to these three alone: https://docs.slack.dev/messaging/formatting-message-text#escaping */
export const escapeText = (text: string): string =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** At most `length` UTF-16 units, never half a character. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const kept = text.slice(0, length - 1);
  return `${/[\uD800-\uDBFF]$/.test(kept) ? kept.slice(0, -1) : kept}…`;
}

export const section = (text: string): Record<string, unknown> => ({
  type: 'section',
  text: { type: 'mrkdwn', text: cut(text, limits.section) },
});
