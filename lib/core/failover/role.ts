import { PgdrError } from '../errors.ts';

/**
 * The role item: which server is the writer, under which epoch, and which execution is changing that. It is one item of
 * the state table in the recovery region, read and written as a whole on the condition that nobody else wrote it since.
 * What may follow what is decided here and nowhere else.
 */

export type ServerName = 'primary' | 'standby';
export type Operation = 'failover' | 'failback' | 'drill';

export const otherServer = (server: ServerName): ServerName => (server === 'primary' ? 'standby' : 'primary');

/** Why the old writer cannot acknowledge anything any more. */
export interface FenceProof {
  readonly fence: 'stop' | 'network' | 'lease' | 'synchronous' | 'clean-stop' | 'attested';
  /** What was read back, in a sentence. */
  readonly evidence: string;
}

/** In this order; abort is possible up to `fenced`, and from `committed` on there is only forward. */
export const phases = ['deciding', 'reserved', 'fenced', 'committed', 'promoted'] as const;
export type Phase = (typeof phases)[number];

export interface Run {
  /** Name of the execution. */
  readonly id: string;
  readonly operation: Operation;
  readonly target: ServerName;
  readonly phase: Phase;
  /** The epoch that the target will write under, once reserved. */
  readonly epoch: number | null;
  readonly fence: FenceProof | null;
  /** Whoever asked to abort, and why. */
  readonly abort: string | null;
  /** The token of an approval that is waited for. */
  readonly approval: string | null;
  /** Milliseconds since the epoch of the clock, until which no other execution may take over. */
  readonly leaseUntil: number;
  /** When each phase was reached, in the same milliseconds. */
  readonly marks: Readonly<Record<string, number>>;
}

export interface Role {
  readonly database: string;
  readonly writer: ServerName;
  readonly epoch: number;
  readonly run: Run | null;
}

/** How long an execution is left alone; every step renews it. A step has at most half of it. */
export const leaseMilliseconds = 600_000;

export const initialRole = (database: string): Role => ({ database, writer: 'primary', epoch: 1, run: null });

const reached = (run: Run, phase: Phase): boolean => phases.indexOf(run.phase) >= phases.indexOf(phase);

/**
 * An execution takes the item. The same one again gets what it had; a run that another left behind after its point of
 * no return is carried on, since its old writer is fenced already; anything else that runs is in the way.
 *
 * @throws PgdrError FailoverInProgress
 */
export function begin(
  role: Role,
  { id, operation, target, now }: { id: string; operation: Operation; target: ServerName; now: number },
): Role {
  const { run } = role;
  if (run?.id === id) return renewed(role, now);
  // A planned change that has not begun to change anything makes way for a failover: its next step finds itself superseded.
  const yields = run !== null && operation === 'failover' && run.operation !== 'failover' && run.phase === 'deciding';
  if (run !== null && run.leaseUntil > now && !yields) {
    throw new PgdrError(
      'FailoverInProgress',
      `${run.operation} ${run.id} is at work (${run.phase}) and holds the lease until ${new Date(run.leaseUntil).toISOString()}`,
    );
  }
  if (run !== null && reached(run, 'committed') && run.phase !== 'promoted') {
    if (run.target !== target)
      throw new PgdrError('FailoverInProgress', `${run.id} passed its point of no return towards the ${run.target}`);
    return { ...role, run: { ...run, id, leaseUntil: now + leaseMilliseconds } };
  }
  return {
    ...role,
    run: {
      id,
      operation,
      target,
      phase: 'deciding',
      epoch: null,
      fence: null,
      abort: null,
      approval: null,
      leaseUntil: now + leaseMilliseconds,
      marks: { began: now },
    },
  };
}

/** The run, if it is still this execution's and nobody asked for its end. @throws PgdrError */
function own(role: Role, id: string, abortable: boolean): Run {
  const { run } = role;
  if (run === null || run.id !== id) {
    throw new PgdrError('FailoverSuperseded', `${id} lost the role item${run ? ` to ${run.id}` : ''}`);
  }
  if (abortable && run.abort !== null && !reached(run, 'committed')) {
    throw new PgdrError('FailoverAborted', run.abort);
  }
  return run;
}

const advance = (role: Role, run: Run, phase: Phase, now: number, changes: Partial<Run> = {}): Role => ({
  ...role,
  run: {
    ...run,
    ...changes,
    phase,
    leaseUntil: now + leaseMilliseconds,
    marks: { ...run.marks, [phase]: run.marks[phase] ?? now },
  },
});

const renewed = (role: Role, now: number): Role =>
  role.run === null ? role : { ...role, run: { ...role.run, leaseUntil: now + leaseMilliseconds } };

/** Every step that changes something begins with this. @throws PgdrError FailoverAborted, FailoverSuperseded */
export function stillMine(role: Role, id: string, now: number): Role {
  own(role, id, true);
  return renewed(role, now);
}

/** Notes the time of something that is no phase of its own: `detected`, `decided`, `name-moved`, … */
export function mark(role: Role, id: string, what: string, at: number): Role {
  const run = own(role, id, false);
  return { ...role, run: { ...run, marks: { ...run.marks, [what]: run.marks[what] ?? at } } };
}

export function awaitApproval(role: Role, id: string, token: string | null): Role {
  return { ...role, run: { ...own(role, id, true), approval: token } };
}

/** The next epoch: from here on nobody writes under the old one with the item's blessing, so its lease cannot be renewed. */
export function reserve(role: Role, id: string, now: number): Role {
  const run = own(role, id, true);
  if (reached(run, 'reserved')) return renewed(role, now);
  return advance(role, run, 'reserved', now, { epoch: role.epoch + 1, approval: null });
}

export function recordFence(role: Role, id: string, proof: FenceProof, now: number): Role {
  const run = own(role, id, true);
  if (run.epoch === null) throw new PgdrError('FenceUnproven', `${id} has reserved no epoch`);
  if (reached(run, 'fenced')) return renewed(role, now);
  return advance(role, run, 'fenced', now, { fence: proof });
}

/** The point of no return. @throws PgdrError FenceUnproven */
export function commit(role: Role, id: string, now: number): Role {
  const run = own(role, id, true);
  if (reached(run, 'committed')) return renewed(role, now);
  if (run.phase !== 'fenced' || run.fence === null) {
    throw new PgdrError('FenceUnproven', `${id} has no proof that the old writer is fenced`);
  }
  return advance(role, run, 'committed', now);
}

/** The target accepts writes: it is the writer now, under the reserved epoch. */
export function recordPromotion(role: Role, id: string, now: number): Role {
  const run = own(role, id, false);
  if (!reached(run, 'committed') || run.epoch === null) {
    throw new PgdrError('FenceUnproven', `${id} has not passed its point of no return`);
  }
  if (run.phase === 'promoted') return renewed(role, now);
  return { ...advance(role, run, 'promoted', now), writer: run.target, epoch: run.epoch };
}

/** @throws PgdrError PastNoReturn, FailoverNotRunning */
export function requestAbort(role: Role, why: string): Role {
  const { run } = role;
  if (run === null) throw new PgdrError('FailoverNotRunning', `nothing of ${role.database} is under way`);
  if (reached(run, 'committed')) {
    throw new PgdrError('PastNoReturn', `${run.id} is past its point of no return (${run.phase})`);
  }
  return { ...role, run: { ...run, abort: run.abort ?? why } };
}

/** The execution is over. A run that is committed and not promoted stays on the item, for the next one to carry on. */
export function release(role: Role, id: string): Role {
  const { run } = role;
  if (run === null || run.id !== id) return role;
  if (run.phase === 'committed') return { ...role, run: { ...run, leaseUntil: 0 } };
  return { ...role, run: null };
}

/**
 * Which server may accept writes, and so renew a lease on it: the writer, until somebody reserves its end; then nobody,
 * until its fence is proven and the point of no return is passed; then the target.
 */
export function mayWrite({ writer, run }: Role): ServerName | 'nobody' {
  if (run === null || run.phase === 'deciding' || run.phase === 'promoted') return writer;
  return run.phase === 'committed' ? run.target : 'nobody';
}
