import type { ServerName } from './role.ts';

/** Orders that a failback leaves in the state table for an agent, and how they are carried out. */

export type Order =
  /** Becomes a standby of the other server: by a rewind, else by a new base backup. */
  | { readonly id: string; readonly kind: 'rejoin'; readonly source: ServerName; readonly rewind: boolean }
  /** A clean stop, after which everything that was committed has left the server. */
  | { readonly id: string; readonly kind: 'stop' }
  | { readonly id: string; readonly kind: 'start' };

export interface AgentReport {
  readonly server: ServerName;
  readonly at: number;
  readonly state: 'starting' | 'writer' | 'standby' | 'fenced' | 'failed' | 'stopped';
  readonly orderId: string | null;
  readonly order: 'working' | 'done' | 'failed' | null;
  readonly detail: string;
}
