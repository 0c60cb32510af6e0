import type { FailoverSettings } from '../failover-settings.ts';
import type { FailoverSummary, Outcome } from '../outcome.ts';
import { type LossBracket, rtoByPhase } from './measure.ts';
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
  const phases = rtoByPhase(marks['last-good'] ?? began, { ...marks, detected: began });
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
