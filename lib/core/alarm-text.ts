/**
 * What an alarm says of itself: the description that CloudWatch shows, sends to every subscriber and that Slack's
 * message is made from. Three lines, so that an e-mail is readable too.
 */
export interface AlarmText {
  readonly severity: 'critical' | 'warning';
  /** Name of the database, or of the system for what concerns a whole region. */
  readonly about: string;
  readonly says: string;
  /** A URL, or a path in this repository where none is configured. */
  readonly runbook: string;
}

export const writeAlarmText = ({ severity, about, says, runbook }: AlarmText): string =>
  `${severity}: ${about}\n${says}\nRunbook: ${runbook}`;

/** Undefined for a description that {@link writeAlarmText} did not write. */
export function readAlarmText(description: string): AlarmText | undefined {
  const match = /^(critical|warning): ([^\n]*)\n([^\n]*)\nRunbook: ([^\n]*)$/.exec(description);
  if (!match) return undefined;
  const [, severity, about = '', says = '', runbook = ''] = match;
  return { severity: severity as AlarmText['severity'], about, says, runbook };
}

/** Where people find a runbook: below the URL of the configuration, or else as a path in the repository. */
export const runbookLink = (runbook: string, base: string | undefined): string =>
  `${base?.replace(/\/+$/, '') ?? 'docs/runbooks'}/${runbook}.md`;
