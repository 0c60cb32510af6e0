import type { FailoverSettings } from '../failover-settings.ts';
import type { FailoverSummary, Outcome } from '../outcome.ts';
import type { Diverged } from './diverged.ts';
import { type LossBracket, plannedPhases, rtoByPhase } from './measure.ts';
import { type FenceProof, type Operation, otherServer, type Role, type ServerName } from './role.ts';

/** What the steps of a failover gave, from which its outcome is made. */
export interface Finished {
  readonly operation: Operation;
  readonly target: ServerName;
  readonly database: string;
  readonly execution: { readonly arn: string; readonly startedAt: string };
  readonly decision: { readonly reasons: readonly string[] } | null;
  readonly switched: {
    readonly fence: FenceProof;
    readonly promotion: {
      readonly loss: (Omit<LossBracket, 'upperSeconds'> & { readonly upperSeconds: number | null }) | null;
      readonly sequences: { readonly bumped: number; readonly exhausted: readonly string[] };
    };
  } | null;
  /** Of a failback: what only the server that came back had. */
  readonly prepared?: { readonly diverged: Diverged | null } | null;
  readonly write: { readonly name: string; readonly timeline: number };
  readonly old: { readonly detail: string };
  readonly applications: readonly { readonly service: string; readonly restarted: boolean }[];
}

export function outcomeOf(
  given: Finished & {
    settings: FailoverSettings;
    role: Role;
    run: string;
    now: number;
  },
): Outcome {
  const { settings, role, run, execution, switched, now } = given;
  const region = execution.arn.split(':')[3] ?? '';
  const marks = role.run?.id === run ? role.run.marks : {};
  const began = marks.began ?? Date.parse(execution.startedAt);
  // A planned change begins to cost something when the writer is told to stop, whatever was prepared before.
  const isPlanned = given.operation === 'failback';
  const from = isPlanned ? (marks.reserved ?? began) : (marks['last-good'] ?? began);
  const phases = rtoByPhase(from, { ...marks, detected: isPlanned ? from : began }).filter(
    ({ phase }) => !isPlanned || plannedPhases.includes(phase),
  );
  const summary: FailoverSummary = {
    operation: given.operation,
    from: otherServer(given.target),
    to: given.target,
    epoch: role.epoch,
    name: given.write.name,
    fence: switched?.fence ?? null,
    reasons: given.decision?.reasons ?? [],
    phases,
    rtoSeconds: phases.reduce((sum, { seconds }) => sum + seconds, 0),
    loss: switched?.promotion.loss ?? null,
    sequences: switched?.promotion.sequences ?? null,
    oldWriter: given.old.detail,
    diverged: given.prepared?.diverged ?? null,
    applications: given.applications,
  };
  return {
    schemaVersion: 1,
    workflow: given.operation,
    database: given.database,
    ok: true,
    startedAt: execution.startedAt,
    endedAt: new Date(now).toISOString(),
    durationSeconds: (now - Date.parse(execution.startedAt)) / 1000,
    region,
    executionArn: execution.arn,
    executionUrl: `https://${region}.console.aws.amazon.com/states/home?region=${region}#/v2/executions/details/${execution.arn}`,
    objectives: settings.objectives,
    failover: summary,
  };
}
