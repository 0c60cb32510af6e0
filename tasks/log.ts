/** Fields that every line of this process carries: job, database, execution. */
let common: Readonly<Record<string, unknown>> = {};

export function bindLog(fields: Readonly<Record<string, unknown>>): void {
  common = fields;
}

/** One JSON line per event: what CloudWatch Logs Insights can query. Values must never hold a secret. */
export function log(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), message, ...common, ...fields })}\n`);
}

export interface Progress {
  add(bytes: number): void;
  /** So many tables more are done. */
  addTables(count: number): void;
  stop(): void;
}

/**
 * Logs bytes and rate while a long work goes on; call `add` from the stream and `stop` at its end. The command line
 * reads these lines (lib/cli/task-progress.ts).
 */
export function startProgress(work: string, totalBytes: number, totalTables?: number): Progress {
  const started = Date.now();
  let bytes = 0;
  let tables = 0;
  const report = () => {
    const seconds = (Date.now() - started) / 1000;
    const bytesPerSecond = Math.round(bytes / Math.max(seconds, 0.001));
    const ofTables = totalTables === undefined ? {} : { tables, totalTables };
    log('progress', { work, bytes, totalBytes, bytesPerSecond, seconds, ...ofTables });
  };
  const timer = setInterval(report, 2_000);
  return {
    add: (more: number) => {
      bytes += more;
    },
    addTables: (count) => {
      tables += count;
    },
    stop: () => {
      clearInterval(timer);
      report();
    },
  };
}
