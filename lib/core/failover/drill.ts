import type { FailoverSettings } from '../failover-settings.ts';
import type { FailoverSummary } from '../outcome.ts';
import type { LossBracket, RtoPhase } from './measure.ts';
import { rtoPhases } from './measure.ts';

/** What a drill shows of a failover: the phases that it measured, those that follow from settings, and what it lost. */

export interface DrillPhase {
  readonly phase: RtoPhase;
  /** null: neither measured nor bounded, and so in no sum. */
  readonly seconds: number | null;
  /** `measured`: it happened in this drill; `bounded`: at most so much by the configuration; `unknown`. */
  readonly how: 'measured' | 'bounded' | 'unknown';
  readonly note: string;
}

/** How long a probe waits for an answer, and how many have to fail: lambdas/failover-probe.ts. */
const probe = { seconds: 2, failures: 3 };
/** Time for the holder of a lease to have stopped: lambdas/failover-fence.ts. */
const leaseMargin = 1.1;
/** Within which Route 53's checkers act on a metric: docs/rto.md. */
const healthCheckSeconds = 60;

/** The phases of an isolated drill. The primary was alive, and nobody's name was moved: it says so where that counts. */
export function isolatedPhases(
  settings: Pick<FailoverSettings, 'probeSeconds' | 'fences' | 'leaseSeconds' | 'endpoint'>,
  measured: { readonly decidedSeconds: number; readonly promotedSeconds: number },
): DrillPhase[] {
  const { probeSeconds, fences, leaseSeconds, endpoint } = settings;
  const [fence] = fences;
  const byPhase: Record<RtoPhase, Omit<DrillPhase, 'phase'>> = {
    detected: {
      seconds: probe.failures * (probeSeconds + probe.seconds),
      how: 'bounded',
      note: `${probe.failures} probes, ${probeSeconds} s apart, each failing after at most ${probe.seconds} s`,
    },
    decided: {
      seconds: measured.decidedSeconds,
      how: 'measured',
      note: 'a dry run of the failover; a primary that answers nothing adds up to 6.5 s, a person minutes',
    },
    fenced:
      fence === 'synchronous'
        ? { seconds: 0, how: 'bounded', note: 'commits wait for the standby: nothing has to be stopped' }
        : fence === 'lease'
          ? { seconds: leaseMargin * leaseSeconds, how: 'bounded', note: `its lease of ${leaseSeconds} s, and a tenth` }
          : { seconds: null, how: 'unknown', note: 'nothing was stopped: a full drill measures it' },
    promoted: {
      seconds: measured.promotedSeconds,
      how: 'measured',
      note: 'of the throwaway replica, to its first write, sequences bumped',
    },
    'name-moved': {
      seconds: (endpoint.mode === 'health-check' ? healthCheckSeconds : 0) + endpoint.ttlSeconds,
      how: 'bounded',
      note:
        endpoint.mode === 'health-check'
          ? 'the checkers of Route 53, about a minute, and the TTL'
          : 'the TTL; Route 53 answers with a changed record within a minute as a rule',
    },
    'first-write': { seconds: null, how: 'unknown', note: 'of the applications: a full drill measures it' },
  };
  return rtoPhases.map(([phase]) => ({ phase, ...byPhase[phase] }));
}

/** Of a full drill, in which the writer was changed as planned: named by its execution, so that a step repeated is the same. */
export function fullFigures(
  run: string,
  settings: Parameters<typeof isolatedPhases>[0],
  decidedSeconds: number,
  there: Pick<FailoverSummary, 'phases' | 'loss'> | undefined,
): DrillFigures {
  const [detected, decided] = isolatedPhases(settings, { decidedSeconds, promotedSeconds: 0 }) as [
    DrillPhase,
    DrillPhase,
  ];
  const switched = (there?.phases ?? []).map(
    (one): DrillPhase => ({ ...one, how: 'measured', note: 'of a planned change' }),
  );
  const phases = [detected, decided, ...switched];
  return { id: `full-${run}`, kind: 'full', phases, rtoSeconds: knownSeconds(phases), loss: there?.loss ?? null };
}

/** Of the phases that are known. */
export const knownSeconds = (phases: readonly DrillPhase[]): number =>
  phases.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);

/** What two drills are compared by. */
export interface DrillFigures {
  readonly id: string;
  readonly kind: 'isolated' | 'full';
  readonly phases: readonly DrillPhase[];
  readonly rtoSeconds: number;
  readonly loss: DrillLoss | null;
}

export type DrillLoss = Omit<LossBracket, 'upperSeconds'> & { readonly upperSeconds: number | null };

/** Measured longer by a fifth counts, unless it is less than a second: a busy machine is no regression. */
const tolerated = { share: 0.2, seconds: 1 };

/** In sentences, what is worse than the objective, or than at the drill before. Drills of two kinds are not compared. */
export function regressionsOf(
  drill: DrillFigures,
  last: DrillFigures | null,
  objectives: { readonly rpoSeconds: number; readonly rtoSeconds: number },
): string[] {
  const found: string[] = [];
  const exceeds = (what: string, value: number | null | undefined, objective: number) => {
    if (value != null && value > objective)
      found.push(`${what} of ${text(value)} misses the objective of ${text(objective)}`);
  };
  exceeds('RTO', drill.rtoSeconds, objectives.rtoSeconds);
  exceeds('RPO', drill.loss?.upperSeconds, objectives.rpoSeconds);
  if (last === null || last.kind !== drill.kind) return found;
  for (const { phase, seconds, how } of drill.phases) {
    const before = last.phases.find((one) => one.phase === phase && one.how === 'measured')?.seconds;
    if (how === 'measured' && seconds !== null && before != null && isSlower(before, seconds))
      found.push(`${phase} took ${text(seconds)}, ${text(before)} at drill ${last.id}`);
  }
  return found;
}

const isSlower = (before: number, now: number): boolean =>
  now - before > tolerated.seconds && now > before * (1 + tolerated.share);

const text = (seconds: number): string => `${Number(seconds.toFixed(seconds < 10 ? 2 : 0))} s`;
