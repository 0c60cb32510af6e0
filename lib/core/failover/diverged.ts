/** The transactions that only an old primary had: those after the point at which its history and the writer's part. */
export interface Diverged {
  readonly timeline: number;
  readonly start: string;
  readonly transactions: number;
  /** Ids of the first of them. */
  readonly xids: readonly string[];
  /** Where the commits are listed, in the bucket of the recovery region. */
  readonly key: string;
}

/** What the agent that undid them leaves in the state table, replaced at each rejoin. */
export interface DivergenceItem extends Omit<Diverged, 'key'> {
  /** The order under which it was found. */
  readonly orderId: string;
  /** One line for each commit, as pg_waldump writes them, gzipped, in base64; the first ones where not all fit. */
  readonly commits: string;
  readonly listed: number;
}
