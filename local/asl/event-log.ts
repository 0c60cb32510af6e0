import type { World } from '../facade.ts';
import type { Execution } from './executions.ts';
import type { HistoryEvent } from './history.ts';

/** Fields of event details that hold an execution's data rather than say what happened. */
const dataFields = new Set(
  ['input', 'output', 'parameters', 'assignedVariables', 'inputDetails', 'outputDetails'].concat(
    'assignedVariablesDetails',
  ),
);

/** The event without inputs, outputs and variables. */
export function withoutData(event: HistoryEvent): HistoryEvent {
  const entries = Object.entries(event).map(([key, value]) => {
    if (!key.endsWith('EventDetails')) return [key, value];
    return [key, Object.fromEntries(Object.entries(value as object).filter(([field]) => !dataFields.has(field)))];
  });
  return Object.fromEntries(entries);
}

const failing = /(Failed|TimedOut|Aborted)$/;
const fatal = /^Execution(Failed|TimedOut|Aborted)$/;

/** Writes one event to the machine's log group, as its LoggingConfiguration says, in the form of Step Functions' own. */
export function logEvent(world: World, execution: Execution, event: HistoryEvent): void {
  const { logging, region, name } = execution.machine;
  const wanted = { OFF: /^$/, FATAL: fatal, ERROR: failing, ALL: /./ }[logging.level];
  if (logging.group === undefined || !wanted.test(event.type)) return;
  const shown = logging.includeExecutionData ? event : withoutData(event);
  const details = Object.entries(shown).find(([key]) => key.endsWith('EventDetails'))?.[1];
  const line = JSON.stringify({
    id: String(event.id),
    type: event.type,
    ...(details !== undefined && { details }),
    previous_event_id: String(event.previousEventId),
    event_timestamp: String(event.timestamp.getTime()),
    execution_arn: execution.arn,
  });
  const group = logging.group.split(':log-group:')[1]?.replace(/:\*$/, '') ?? logging.group;
  const hour = event.timestamp.toISOString().slice(0, 13).replace('T', '-');
  world.log(region, group, `states/${name}/${hour}`, line);
}
