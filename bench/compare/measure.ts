import { readdirSync, readFileSync } from 'node:fs';

/** CPU seconds and memory of processes, as Linux counts them below /proc. */

/** CPU time that finished children left is counted with whoever waited for them. */
const ticksPerSecond = 100;

interface ProcessState {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Its own CPU time, and that of children that have ended and were waited for. */
  readonly seconds: number;
  readonly childSeconds: number;
}

function stateOf(pid: number): ProcessState | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [head = '', tail = ''] = [text.slice(0, text.lastIndexOf(')')), text.slice(text.lastIndexOf(')') + 2)];
    const fields = tail.split(' ');
    const seconds = (from: number) => (Number(fields[from]) + Number(fields[from + 1])) / ticksPerSecond;
    const name = head.slice(head.indexOf('(') + 1);
    return { pid, parent: Number(fields[1]), name, seconds: seconds(11), childSeconds: seconds(13) };
  } catch {
    return undefined; // It has ended.
  }
}

/** A process and all that descend from it, except what `leaveOut` names and what descends from that. */
export function processTree(root: number, leaveOut: (name: string) => boolean = () => false): ProcessState[] {
  const all = readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? (stateOf(Number(entry)) ?? []) : []));
  const found: ProcessState[] = [];
  const visit = (state: ProcessState): void => {
    found.push(state);
    for (const child of all) if (child.parent === state.pid && !leaveOut(child.name)) visit(child);
  };
  const first = all.find(({ pid }) => pid === root);
  if (first) visit(first);
  return found;
}

/** CPU seconds that a process and its descendants have used so far, those that ended included. */
export const cpuOfTree = (root: number, leaveOut?: (name: string) => boolean): number =>
  processTree(root, leaveOut).reduce((sum, { seconds, childSeconds }) => sum + seconds + childSeconds, 0);

/** CPU seconds of children of this process that have ended. */
export const cpuOfEnded = (): number => stateOf(process.pid)?.childSeconds ?? 0;

/** The highest resident memory that a process has had, bytes. */
function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/**
 * Watches a worker: the highest resident memory of the process itself, and the sum over it and its living children,
 * each at its own highest. Servers that it starts are not the worker.
 */
export function watchMemory(pid: number) {
  let own = 0;
  let all = 0;
  const look = () => {
    const peaks = processTree(pid, (name) => name === 'postgres').map((state) => peakOf(state.pid));
    own = Math.max(own, peaks[0] ?? 0);
    all = Math.max(
      all,
      peaks.reduce((sum, peak) => sum + peak, 0),
    );
  };
  const timer = setInterval(look, 100);
  return {
    stop(): { ownBytes: number; withChildrenBytes: number } {
      clearInterval(timer);
      return { ownBytes: own, withChildrenBytes: all };
    },
  };
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [below = Number.NaN, above = below] = [sorted[middle - (sorted.length % 2 ? 0 : 1)], sorted[middle]];
  return (below + above) / 2;
};
