/** What `pgdr doctor` says of one thing that it looked at. */
export interface Finding {
  /** `account`, a region, `database orders`, `server orders`, … */
  readonly subject: string;
  readonly check: string;
  readonly state: FindingState;
  /** What is the case, without any secret. */
  readonly found: string;
  /** Exactly what to run, or to change, one command or sentence each; empty when all is well. */
  readonly mend: readonly string[];
}

/** `warning`: it works, with a risk that is named. `failed`: a backup, a restore or a failover will not work. */
export type FindingState = 'ok' | 'warning' | 'failed';

/** Findings of one subject. */
export interface Notebook {
  ok(check: string, found: string): Finding;
  warning(check: string, found: string, ...mend: string[]): Finding;
  failed(check: string, found: string, ...mend: string[]): Finding;
}

export const about = (subject: string): Notebook => ({
  ok: (check, found) => ({ subject, check, state: 'ok', found, mend: [] }),
  warning: (check, found, ...mend) => ({ subject, check, state: 'warning', found, mend }),
  failed: (check, found, ...mend) => ({ subject, check, state: 'failed', found, mend }),
});

/** SQL's quoted identifier, for statements that an operator pastes. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A word of a POSIX shell, for commands that an operator pastes. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
