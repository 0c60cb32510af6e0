import type { HistoryEvent } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { type StateStep, trackStates } from '../../lib/cli/states.ts';

/** Events as Step Functions numbers them; `after` is the previous event where it is not simply the one before. */
function play(events: readonly (Partial<HistoryEvent> & { after?: number })[], endedAt = events.length): StateStep[] {
  const shown: string[] = [];
  const tracker = trackStates({
    entered: (name) => shown.push(`> ${name}`),
    left: ({ name }) => shown.push(`< ${name}`),
  });
  events.forEach(({ after, ...event }, index) => {
    tracker.take({
      id: index + 1,
      previousEventId: after ?? index,
      timestamp: new Date((index + 1) * 1000),
      ...event,
    } as HistoryEvent);
  });
  const steps = [...tracker.finish(new Date(endedAt * 1000))];
  expect(shown.filter((line) => line.startsWith('<'))).toHaveLength(steps.length);
  return steps;
}

const entered = (name: string, type = 'TaskStateEntered') =>
  ({ type, stateEnteredEventDetails: { name } }) as Partial<HistoryEvent>;
const exited = (name: string, type = 'TaskStateExited') =>
  ({ type, stateExitedEventDetails: { name } }) as Partial<HistoryEvent>;
const failed = (error: string) => ({ type: 'TaskFailed', taskFailedEventDetails: { error } }) as Partial<HistoryEvent>;
const plain = (type: string) => ({ type }) as Partial<HistoryEvent>;

describe('states of an execution', () => {
  it('gives each state with its time', () => {
    const steps = play([
      plain('ExecutionStarted'),
      entered('A'),
      plain('TaskScheduled'),
      plain('TaskSucceeded'),
      exited('A'),
      plain('ExecutionSucceeded'),
    ]);
    expect(steps).toEqual([{ name: 'A', ok: true, seconds: 3, startedAt: '1970-01-01T00:00:02.000Z', inner: false }]);
  });

  it('forgets the error of an attempt that was repeated with success', () => {
    const steps = play([
      entered('A'),
      plain('TaskScheduled'),
      failed('Busy'),
      plain('TaskScheduled'),
      plain('TaskSucceeded'),
      exited('A'),
    ]);
    expect(steps).toMatchObject([{ name: 'A', ok: true }]);
  });

  it('shows the error of a state whose failure was caught, and of the Fail state that ends the execution', () => {
    const steps = play([
      entered('A'),
      plain('TaskScheduled'),
      failed('DumpFailed'),
      exited('A'),
      entered('Over', 'FailStateEntered'),
      { type: 'ExecutionFailed', executionFailedEventDetails: { error: 'DumpFailed' } } as Partial<HistoryEvent>,
    ]);
    expect(steps).toMatchObject([
      { name: 'A', ok: false, error: 'DumpFailed' },
      { name: 'Over', ok: false, error: 'DumpFailed' },
    ]);
  });

  it('marks a heartbeat that was missed', () => {
    const steps = play([
      entered('A'),
      plain('TaskScheduled'),
      { type: 'TaskTimedOut', taskTimedOutEventDetails: { error: 'States.HeartbeatTimeout' } } as Partial<HistoryEvent>,
      exited('A'),
    ]);
    expect(steps).toMatchObject([{ ok: false, error: 'States.HeartbeatTimeout' }]);
  });

  it('tells states inside a Map apart, and closes the branches that a failure leaves behind', () => {
    const steps = play([
      entered('Each', 'MapStateEntered'), // 1
      plain('MapStateStarted'), // 2
      { ...plain('MapIterationStarted'), after: 2 }, // 3
      { ...entered('One'), after: 3 }, // 4
      { ...plain('MapIterationStarted'), after: 2 }, // 5
      { ...entered('One'), after: 5 }, // 6
      { ...failed('ObjectAltered'), after: 4 }, // 7
      { ...plain('TaskStateAborted'), after: 7 }, // 8
      { ...plain('MapStateFailed'), after: 7 }, // 9
      { ...exited('Each', 'MapStateExited'), after: 9 }, // 10
      entered('Next'), // 11
      exited('Next'), // 12
    ]);
    expect(steps.map(({ name, ok, inner, error }) => ({ name, ok, inner, error }))).toEqual([
      { name: 'One', ok: true, inner: true, error: undefined },
      { name: 'One', ok: false, inner: true, error: 'ObjectAltered' },
      { name: 'Each', ok: false, inner: false, error: 'ObjectAltered' },
      { name: 'Next', ok: true, inner: false, error: undefined },
    ]);
  });

  it('closes what an abort leaves open', () => {
    expect(play([entered('A'), plain('ExecutionAborted')])).toMatchObject([
      { name: 'A', ok: false, error: 'ExecutionAborted' },
    ]);
  });
});
