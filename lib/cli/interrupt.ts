/** Ctrl-C and SIGTERM: what was started is stopped, newest first, and the process ends with the signal's exit code. */

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const stops = new Set<() => Promise<unknown>>();
let interrupted = false;

/** Runs `stop` when the process is told to end; returns the remover. */
export function onInterrupt(stop: () => Promise<unknown>): () => void {
  if (stops.size === 0) for (const signal of signals) process.on(signal, interrupt);
  stops.add(stop);
  return () => {
    stops.delete(stop);
    if (stops.size === 0) for (const signal of signals) process.off(signal, interrupt);
  };
}

/** True once the process was told to end: failures from then on are only echoes of that. */
export const wasInterrupted = (): boolean => interrupted;

function interrupt(signal: NodeJS.Signals): void {
  const code = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal as 'SIGINT'] ?? 1;
  // A second Ctrl-C does not wait.
  if (interrupted) process.exit(code);
  interrupted = true;
  process.stderr.write('\nStopping …\n');
  void stopAll().finally(() => process.exit(code));
}

async function stopAll(): Promise<void> {
  for (const stop of [...stops].reverse()) await stop().catch(() => {});
}
