import type { FenceProof } from './role.ts';

/** What was looked at before a decision. Everything is as of one moment; times are RFC 3339 or seconds. */

export interface Observation {
  /** `recovery-region`, `primary-region`, `replication`. */
  readonly name: string;
  /** `unknown`: the observer itself could not be asked, which says nothing about the server. */
  readonly sees: 'up' | 'down' | 'unknown';
  readonly detail: string;
}

export interface StandbyState {
  readonly reachable: boolean;
  readonly inRecovery: boolean;
  /** The walreceiver streams, and heard something lately. */
  readonly streaming: boolean;
  /** WAL received and not yet replayed. */
  readonly replayLagBytes: number | null;
  readonly replayPaused: boolean;
  readonly timeline: number | null;
  /** Age of the newest heartbeat that was replayed; null when there is none. */
  readonly heartbeatAgeSeconds: number | null;
  readonly detail: string;
}

export interface Evidence {
  readonly observers: readonly Observation[];
  readonly standby: StandbyState;
  /** At most so much is lost, going by heartbeats that were written and that were replayed; null: nobody knows. */
  readonly lossSeconds: number | null;
  /** The old writer acknowledges nothing that the standby does not hold. */
  readonly synchronous: boolean;
  /** Fences that the configuration has beside synchronous replication and a person's word. */
  readonly fences: readonly FenceProof['fence'][];
}
