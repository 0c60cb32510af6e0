/** What a failover cost: how much was lost, and how long each phase took. */

export interface LossBracket {
  readonly lowerSeconds: number;
  readonly upperSeconds: number;
  /** Why one end is not known better. */
  readonly note: string | null;
}

/**
 * Commits up to the last good probe existed; after the first failed one there was none. What lies between either and
 * the last commit that the new writer recovered, read after its promotion, is lost. A writer that was fenced by its lease
 * alone was stopped by nobody: whoever still reached it may have written until the lease was over. Milliseconds of one clock.
 */
export function lossBracket(moments: {
  lastGoodAt: number | null;
  firstFailedAt: number | null;
  lastRecoveredAt: number | null;
  /** When the lease that fenced the writer was over; absent where another fence stopped it. */
  leaseOverAt?: number;
  /** Nothing can be lost, and why. */
  nothing: string | null;
}): LossBracket | null {
  const { lastGoodAt, firstFailedAt, lastRecoveredAt, leaseOverAt, nothing } = moments;
  if (nothing !== null) return { lowerSeconds: 0, upperSeconds: 0, note: nothing };
  if (lastRecoveredAt === null) return null;
  const after = (moment: number) => Math.max(0, (moment - lastRecoveredAt) / 1000);
  if (firstFailedAt === null) {
    return lastGoodAt === null
      ? null
      : { lowerSeconds: after(lastGoodAt), upperSeconds: Number.POSITIVE_INFINITY, note: 'no probe saw it fail' };
  }
  return {
    lowerSeconds: lastGoodAt === null ? 0 : Math.min(after(lastGoodAt), after(firstFailedAt)),
    upperSeconds: after(Math.max(firstFailedAt, leaseOverAt ?? firstFailedAt)),
    note: lastGoodAt === null ? 'no probe saw it work' : null,
  };
}

/** The moments of a failover in their order, and what passes between each and the one before. */
export const rtoPhases = [
  ['detected', 'last good probe to the start of the failover'],
  ['decided', 'evidence, decision and approval'],
  ['fenced', 'the old writer stopped, and proven so'],
  ['promoted', 'the standby accepts writes'],
  ['name-moved', 'the name of the database leads to it'],
  ['first-write', 'the first write by name'],
] as const;

export type RtoPhase = (typeof rtoPhases)[number][0];

export interface PhaseSeconds {
  readonly phase: RtoPhase;
  readonly seconds: number;
}

/** Those in which a planned change has no writer: what comes before, the writer does not notice. */
export const plannedPhases: readonly RtoPhase[] = ['fenced', 'promoted', 'name-moved', 'first-write'];

/** Seconds of each phase; one that was not seen takes no time and its successor has it all. Promotion and flip overlap. */
export function rtoByPhase(lastGoodAt: number, marks: Readonly<Record<string, number>>): PhaseSeconds[] {
  let before = lastGoodAt;
  return rtoPhases.map(([phase]) => {
    const at = Math.max(before, marks[phase] ?? before);
    const seconds = (at - before) / 1000;
    before = at;
    return { phase, seconds };
  });
}

/** A sequence that a lossy failover set back has to be taken beyond every value that may have been given out. */
export function bumpedValue(sequence: {
  readonly lastValue: bigint;
  readonly increment: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly by: bigint;
}): bigint | null {
  const next = sequence.lastValue + sequence.increment * sequence.by;
  return next > sequence.max || next < sequence.min ? null : next;
}
