import type { HistoryEvent } from '../../../local/asl/history.ts';
import { eventRules } from './differences.ts';
import type { Ran } from './ours.ts';

/** A run in a form in which the runs of two engines can be compared. */
export interface Canonical {
  readonly status: string;
  readonly output: unknown;
  readonly error: unknown;
  readonly cause: unknown;
  readonly history: readonly string[];
}

/** Where histories legitimately differ in every run: who ran it, and when. */
const own = new Set(['roleArn', 'region', 'inputDetails', 'outputDetails', 'assignedVariablesDetails']);

/**
 * @param unordered Branches run at the same time: their events may interleave, so each is compared by what it follows
 * @param used collects the rules that were needed
 */
export function canonical(ran: Ran, unordered: boolean, used: Set<number>): Canonical {
  const kept = ran.events.filter((event) => !rulesFor(event, used).some(({ drop }) => drop));
  const places = new Map(kept.map(({ id }, index) => [id, index + 1]));
  const types = new Map(kept.map(({ id, type }) => [id, type]));
  const lines = kept.map((event) => {
    const rules = rulesFor(event, used);
    const hidden = new Set(rules.flatMap(({ fields = [] }) => fields));
    const shown = Object.entries(detailsOf(event)).filter(([key]) => !own.has(key) && !hidden.has(key));
    const details = sorted(
      Object.fromEntries(shown.map(([key, value]) => [key, readable(key, value)])),
      new Set(rules.flatMap(({ parameters = [] }) => parameters)),
    );
    const previous = unordered ? types.get(event.previousEventId) : places.get(event.previousEventId);
    // A state of several branches goes on after whichever ended last.
    const joins = unordered && /^(Map|Parallel)State(Succeeded|Exited)$/.test(event.type);
    const after = joins || rules.some(({ anyPrevious }) => anyPrevious) ? '' : ` after ${previous ?? 0}`;
    const type = rules.find(({ as }) => as)?.as ?? event.type;
    return `${unordered ? '' : `${places.get(event.id)} `}${type}${after} ${constant(JSON.stringify(details))}`;
  });
  const named = ran.error?.startsWith('States.') !== true;
  return {
    status: ran.status,
    output: JSON.parse(constant(JSON.stringify(sorted(ran.output ?? null)))),
    // An execution that ran out of time has no error to those who ask: only its history has.
    error: ran.status === 'TIMED_OUT' ? null : (ran.error ?? null),
    cause: named && typeof ran.cause === 'string' ? constant(ran.cause) : null,
    history: unordered ? lines.sort() : lines,
  };
}

function rulesFor(event: HistoryEvent, used: Set<number>) {
  return eventRules.filter((rule, index) => {
    const applies = rule.about(event, detailsOf(event));
    if (applies) used.add(index);
    return applies;
  });
}

const detailsOf = (event: HistoryEvent): Readonly<Record<string, unknown>> =>
  Object.entries(event).find(([key]) => key.endsWith('EventDetails'))?.[1] ?? {};

/** JSON inside of text as a value. Variables are compared without backslashes: moto does not escape quotes in them. */
function readable(key: string, value: unknown): unknown {
  if (key === 'assignedVariables') return JSON.parse(JSON.stringify(sorted(value)).replaceAll('\\\\\\"', '\\"'));
  if (!['input', 'output', 'parameters'].includes(key)) return value;
  return sorted(JSON.parse(String(value)));
}

/** Members in the order of their names, without those that are hidden. */
function sorted(value: unknown, hidden: ReadonlySet<string> = new Set()): unknown {
  if (Array.isArray(value)) return value.map((item) => sorted(item, hidden));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !hidden.has(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member, hidden)]),
  );
}

/** Without what no two runs have in common: task tokens, times of day, and how long something took. */
const constant = (text: string): string =>
  text
    .replace(/AQC[A-Za-z0-9+/]{509}|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<token>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, '<time>')
    .replace(/((?:durationS|s)econds\\*":)[-\d.e]+/g, '$10');
