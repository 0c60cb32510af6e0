import { FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { taskLogGroup } from '../config/names.ts';
import { humanBytes } from '../core/human.ts';
import type { Clients } from './clients.ts';

/** How far a running task is, read from the progress lines that it logs (tasks/log.ts). */

interface Progress {
  readonly work: string;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** Of a dump: tables that are stored, or whose earlier object stands for them. */
  readonly tables?: number;
  readonly totalTables?: number;
}

/** Gives a function that answers `dump 120.4 MB of about 205.6 MB, 31.2 MB/s, 3 of 16 tables`, or nothing when there is no news. */
export function watchTask(clients: Clients, system: string, executionArn: string): () => Promise<string | undefined> {
  let since = Date.now() - 60_000;
  return async () => {
    try {
      const { events = [] } = await clients.logs.send(
        new FilterLogEventsCommand({
          logGroupName: taskLogGroup(system),
          filterPattern: `"progress" "${executionArn}"`,
          startTime: since,
        }),
      );
      const last = events.at(-1);
      if (!last?.message) return undefined;
      since = (last.timestamp ?? since) + 1;
      return describe(JSON.parse(last.message) as Progress);
    } catch {
      // Whoever may start a workflow need not be allowed to read logs: the steps are shown all the same.
      return undefined;
    }
  };
}

function describe({ work, bytes, totalBytes, bytesPerSecond, tables, totalTables }: Progress): string {
  const total = totalBytes > bytes ? ` of about ${humanBytes(totalBytes)}` : '';
  const done = totalTables === undefined ? '' : `, ${tables} of ${totalTables} tables`;
  return `${work} ${humanBytes(bytes)}${total}, ${humanBytes(bytesPerSecond)}/s${done}`;
}
