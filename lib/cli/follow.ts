import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import { type StateStep, type StateWatcher, trackStates } from './states.ts';

/** Following an execution of a state machine through its history, as anybody with the console could. */

export interface Followed {
  readonly execution: DescribeExecutionOutput;
  readonly steps: readonly StateStep[];
  readonly seconds: number;
}

export interface FollowOptions {
  readonly watcher?: StateWatcher;
  /** Milliseconds between looks; Step Functions refuses more than a few a second for an account. */
  readonly interval?: number;
  /** Asked about every two seconds how far the running state is. */
  readonly progress?: () => Promise<string | undefined>;
}

/** Follows an execution to its end. */
export async function followExecution(
  client: SFNClient,
  executionArn: string,
  options: FollowOptions = {},
): Promise<Followed> {
  const { watcher = {}, interval = 1000, progress } = options;
  let asked = Date.now();
  const tracker = trackStates(watcher);
  let seen = 0;
  for (;;) {
    // The status first: events that precede the end are then certainly in the history that is read after it.
    const execution = await client.send(new DescribeExecutionCommand({ executionArn }));
    for (const event of await eventsAfter(client, executionArn, seen)) {
      tracker.take(event);
      seen = event.id as number;
    }
    if (execution.status !== 'RUNNING') {
      const seconds = ((execution.stopDate?.getTime() ?? Date.now()) - (execution.startDate?.getTime() ?? 0)) / 1000;
      return { execution, steps: tracker.finish(execution.stopDate ?? new Date()), seconds };
    }
    if (progress && Date.now() - asked >= 2000) {
      asked = Date.now();
      const text = await progress();
      if (text) watcher.progress?.(text);
    }
    await sleep(interval);
  }
}

/** Newest first until the last one known, so that each look costs what is new and not the whole history. */
async function eventsAfter(client: SFNClient, executionArn: string, seen: number): Promise<HistoryEvent[]> {
  const fresh: HistoryEvent[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.send(
      new GetExecutionHistoryCommand({
        executionArn,
        reverseOrder: true,
        includeExecutionData: false,
        maxResults: 200,
        nextToken,
      }),
    );
    const events = page.events ?? [];
    fresh.push(...events.filter((event) => (event.id ?? 0) > seen));
    nextToken = events.some((event) => (event.id ?? 0) <= seen) ? undefined : page.nextToken;
  } while (nextToken !== undefined);
  return fresh.sort((a, b) => (a.id ?? 0) - (b.id ?? 0));
}
