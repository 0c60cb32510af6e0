import { type Ancestor, segmentStart } from './wal.ts';

/** Where a receiver goes on: what to ask of the server, given what is stored and which history the server has. */
export interface Position {
  readonly timeline: number;
  readonly start: bigint;
}

export interface ServerHistory {
  readonly timeline: number;
  readonly ancestors: readonly Ancestor[];
}

/**
 * `stored`: the end of what is stored without a break on the newest stored timeline. Undefined when the server's timeline
 * is older than that one: it is not the server that went on.
 */
export function nextPosition(stored: Position, server: ServerHistory, segmentBytes: number): Position | undefined {
  if (stored.timeline > server.timeline) return undefined;
  if (stored.timeline === server.timeline) return stored;
  const own = server.ancestors.find(({ timeline }) => timeline === stored.timeline);
  // The rest of the stored timeline, up to the switch; what was stored beyond it has diverged and stays.
  if (own && stored.start < own.end) return stored;
  const line = [...server.ancestors.map(({ timeline }) => timeline), server.timeline];
  const next = line.find((timeline) => timeline > stored.timeline) as number;
  // A new timeline begins with a copy of its ancestor's segment, which makes its archive complete in itself.
  const switchedAt = server.ancestors[line.indexOf(next) - 1]?.end ?? stored.start;
  return { timeline: next, start: segmentStart(switchedAt, segmentBytes) };
}
