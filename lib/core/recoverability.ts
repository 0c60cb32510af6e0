import type { ProofLevel } from './outcome.ts';

/** "Could we recover now, to when, how fast, and who says so": the judgement over what one region holds. Pure. */

export interface RegionFacts {
  readonly region: string;
  /** Why the region could not be asked; what else it says is then unknown. */
  readonly problem?: string;
  /** The newest verified backup. */
  readonly backup?: {
    readonly id: string;
    readonly takenAt: string;
    readonly verifiedAt: string;
    readonly bytes: number;
  };
  /** Where WAL is received: stretches of time any moment of which can be recovered, RFC 3339, the oldest end first. */
  readonly window?: readonly { readonly from: string; readonly to: string }[];
  /** The newest restore test, whether or not it held. */
  readonly lastTest?: RestoreTestFact;
  /** The newest one that held. */
  readonly proof?: RestoreTestFact;
  /** Names of alarms that are on; undefined when CloudWatch could not be asked. */
  readonly alarms?: readonly string[];
}

export interface RestoreTestFact {
  readonly id: string;
  readonly backupId: string;
  readonly at: string;
  readonly holds: boolean;
  readonly level: ProofLevel | null;
  readonly rtoSeconds: number;
  readonly rpoSeconds: number;
}

export interface Answer {
  /** `yes`: proven, and lately. `unproven`: there is a backup, and nobody has shown that it restores. */
  readonly recoverable: 'yes' | 'unproven' | 'no';
  readonly region: string | null;
  /** RFC 3339: what was written until then is kept. */
  readonly to: string | null;
  readonly lossSeconds: number | null;
  /** What the last proven restore took. */
  readonly seconds: number | null;
  readonly says: string;
  readonly provenBy: RestoreTestFact | null;
}

export interface Limits {
  readonly now: Date;
  readonly restoreTestIntervalSeconds: number;
}

const epoch = '1970-01-01T00:00:00Z';
/** A day of grace, as the alarm has. */
const grace = 86_400;

/** The best of what the regions hold: a proven one first, then the newer data. */
export function answerOf(regions: readonly RegionFacts[], limits: Limits): Answer {
  const order = { yes: 0, unproven: 1, no: 2 };
  const answers = regions.map((region) => answerOfRegion(region, limits));
  // Equal ones stay in the order of the regions: the primary one first.
  answers.sort(
    (a, b) => order[a.recoverable] - order[b.recoverable] || Date.parse(b.to ?? epoch) - Date.parse(a.to ?? epoch),
  );
  return answers[0] ?? none(null, 'no region was asked');
}

function answerOfRegion(facts: RegionFacts, limits: Limits): Answer {
  const { region, problem, lastTest, proof } = facts;
  const to = newestMoment(facts);
  if (to === undefined) return none(region, problem ?? 'there is no verified backup yet');
  const { now, restoreTestIntervalSeconds } = limits;
  const found = {
    region,
    to,
    lossSeconds: Math.max(0, (now.getTime() - Date.parse(to)) / 1000),
    seconds: proof?.rtoSeconds ?? null,
    provenBy: proof ?? null,
  };
  const unproven = (says: string): Answer => ({ ...found, recoverable: 'unproven', says });
  if (!proof) return unproven('no restore test has held yet');
  if (lastTest && !lastTest.holds && lastTest.at > proof.at)
    return unproven(`the restore test of ${lastTest.at} failed`);
  if (now.getTime() - Date.parse(proof.at) > (restoreTestIntervalSeconds + grace) * 1000)
    return unproven(`the last restore test that held is of ${proof.at}`);
  return {
    ...found,
    recoverable: 'yes',
    says: `restore test ${proof.id} restored ${proof.backupId} and proved it to ${proof.level}`,
  };
}

/** Milliseconds since the epoch, in order, each moment once: stretches of several timelines lie over one another. */
export function mergedStretches(
  window: readonly { readonly from: string; readonly to: string }[],
): { readonly from: number; readonly to: number }[] {
  const merged: { from: number; to: number }[] = [];
  const stretches = window.map(({ from, to }) => ({ from: Date.parse(from), to: Date.parse(to) }));
  for (const one of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && one.from <= last.to) last.to = Math.max(last.to, one.to);
    else if (one.to >= one.from) merged.push(one);
  }
  return merged;
}

/** The newest backup's, or what WAL adds to it. */
const newestMoment = ({ backup, window = [] }: RegionFacts): string | undefined =>
  [...(backup ? [backup.takenAt] : []), ...window.map(({ to }) => to)]
    .toSorted((a, b) => Date.parse(a) - Date.parse(b))
    .at(-1);

const none = (region: string | null, says: string): Answer => ({
  recoverable: 'no',
  region,
  to: null,
  lossSeconds: null,
  seconds: null,
  says,
  provenBy: null,
});
