import { formatWithOptions } from 'node:util';

const LEVELS = { log: 'INFO', debug: 'DEBUG', info: 'INFO', warn: 'WARN', error: 'ERROR', trace: 'TRACE' } as const;

/**
 * Gives `console` the shape of Lambda's: `<time>\t<request id>\t<level>\t<text>`, or an object a line when the
 * function's log format is JSON. Line breaks become carriage returns, so that a stack trace stays one event.
 */
export function installConsole(requestId: () => string): void {
  const json = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  for (const [method, level] of Object.entries(LEVELS)) {
    (console as any)[method] = (...values: unknown[]) => {
      const timestamp = new Date().toISOString();
      const line = json
        ? jsonLine(timestamp, requestId(), level, values)
        : `${timestamp}\t${requestId() || 'undefined'}\t${level}\t${format(values)}`.replaceAll('\n', '\r');
      process.stdout.write(`${line}\n`);
    };
  }
}

const format = (values: unknown[]): string => formatWithOptions({}, ...(values as [unknown]));

function jsonLine(timestamp: string, requestId: string, level: string, values: unknown[]): string {
  const [first] = values;
  const error = values.find((value) => value instanceof Error);
  const message = values.length === 1 && typeof first === 'object' && !error ? first : format(values);
  return JSON.stringify({
    timestamp,
    level,
    requestId,
    message,
    ...(error && { errorType: error.name, errorMessage: error.message, stackTrace: error.stack?.split('\n') }),
  });
}
