import type { Observation } from './evidence.ts';

/** What the probe of one region saw last of the writer. Kept in the state table, replaced at each probe. */
export interface ProbeItem {
  readonly region: string;
  /** When it was written, milliseconds by the prober's clock. */
  readonly at: number;
  readonly lastGood: {
    /** By the writer's clock and by the prober's. */
    readonly at: number;
    readonly seenAt: number;
    readonly timeline: number;
    /** Commits waited for the standby, and for it alone. */
    readonly synchronous: boolean;
  } | null;
  /** When the first of the failing probes was sent; by the writer's clock, as far as the last good one told it. */
  readonly failingSince: number | null;
  readonly failures: number;
  readonly error: string | null;
}

export interface ProbeResult {
  readonly sentAt: number;
  readonly good: { readonly at: number; readonly timeline: number; readonly synchronous: boolean } | null;
  readonly error: string | null;
}

/** The item after another probe. Clocks of writer and prober are told apart by their difference in the last good one. */
export function nextProbe(region: string, before: ProbeItem | undefined, result: ProbeResult, now: number): ProbeItem {
  if (result.good) {
    return {
      region,
      at: now,
      lastGood: { ...result.good, seenAt: now },
      failingSince: null,
      failures: 0,
      error: null,
    };
  }
  const skew = before?.lastGood ? before.lastGood.at - before.lastGood.seenAt : 0;
  return {
    region,
    at: now,
    lastGood: before?.lastGood ?? null,
    // The end of the attempt: a commit may have been taken while it was under way.
    failingSince: before?.failingSince ?? now + skew,
    failures: (before?.failures ?? 0) + 1,
    error: result.error,
  };
}

/** What the probe of another region wrote down last, as an observation; silence says nothing about the server. */
export function observationOf(
  name: string,
  probe: ProbeItem | undefined,
  probeSeconds: number,
  now: number,
): Observation {
  if (!probe) return { name, sees: 'unknown', detail: 'never heard of' };
  const ageSeconds = (now - probe.at) / 1000;
  // The probe runs for a minute at a time, and the next one may start late.
  if (ageSeconds > 60 + 2 * probeSeconds)
    return { name, sees: 'unknown', detail: `silent for ${ageSeconds.toFixed(0)} s` };
  if (probe.failingSince !== null) return { name, sees: 'down', detail: probe.error ?? 'its writes fail' };
  // An old good news is no news: the server may have died since.
  const isFresh = ageSeconds <= 1.5 * probeSeconds;
  return { name, sees: isFresh ? 'up' : 'unknown', detail: `wrote ${ageSeconds.toFixed(0)} s ago` };
}
