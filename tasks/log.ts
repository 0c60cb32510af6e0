/** One JSON line per event: what CloudWatch Logs Insights can query. Values must never hold a secret. */
export function log(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), message, ...fields })}\n`);
}

/** Logs bytes and rate while a long work goes on; call `add` from the stream and `stop` at its end. */
export function startProgress(work: string, totalBytes: number) {
  const started = Date.now();
  let bytes = 0;
  const report = () => {
    const seconds = (Date.now() - started) / 1000;
    log('progress', { work, bytes, totalBytes, bytesPerSecond: Math.round(bytes / Math.max(seconds, 0.001)), seconds });
  };
  const timer = setInterval(report, 5_000);
  return {
    add: (more: number) => {
      bytes += more;
    },
    stop: () => {
      clearInterval(timer);
      report();
    },
  };
}
