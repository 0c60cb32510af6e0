import { type Check, checkFields, isObject, member, type Report, seconds, stateFields } from './fields.ts';
import { checkMap, distributedFields, isDistributedMap, processorConfig } from './map-fields.ts';
import type { Json, State, StateMachine } from './types.ts';

/** A definition that cannot be run. `problems` are `<JSON path>: <sentence>`. */
export class DefinitionError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The state machine's definition is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'DefinitionError';
    this.problems = problems;
  }
}

/** Reads a definition in JSONata. Anything that would not be carried out is refused: throws {@link DefinitionError}. */
export function parseStateMachine(definition: string): StateMachine {
  let machine: Json;
  try {
    machine = JSON.parse(definition);
  } catch (error) {
    throw new DefinitionError([`$: is not JSON: ${(error as Error).message}`]);
  }
  if (!isObject(machine)) throw new DefinitionError(['$: must be an object']);
  const problems: string[] = [];
  const report: Report = (path, message) => problems.push(`${path}: ${message}`);
  if (!('QueryLanguage' in machine)) report('$.QueryLanguage', 'is missing; must be "JSONata"');
  checkBlock(machine, '$', { Version: text, TimeoutSeconds: seconds }, report, new Set(), new Set());
  if (problems.length > 0) throw new DefinitionError(problems);
  return machine as unknown as StateMachine;
}

const text: Check = (value, path, report) => {
  if (typeof value !== 'string') report(path, 'must be a string');
};

const jsonata: Check = (value, path, report) => {
  if (value !== 'JSONata') report(path, 'must be "JSONata"');
};

const anything: Check = () => {};

/**
 * Checks a machine, branch or processor.
 * @param outer variables of the enclosing scopes: they can be read here, not assigned
 * @param names every state's name so far: they are unique in the whole machine
 */
function checkBlock(
  block: Json | undefined,
  path: string,
  extra: Record<string, Check>,
  report: Report,
  outer: ReadonlySet<string>,
  names: Set<string>,
): void {
  const fields = { Comment: text, QueryLanguage: jsonata, StartAt: text, States: anything, ...extra };
  checkFields(block ?? null, fields, ['StartAt', 'States'], path, report);
  if (!isObject(block) || block.States === undefined) return;
  const statesPath = member(path, 'States');
  if (!isObject(block.States)) {
    report(statesPath, 'must be an object');
    return;
  }
  const states = Object.entries(block.States);

  const own = new Set(states.flatMap(([, state]) => assignments(state).flatMap((value) => Object.keys(value))));
  for (const name of own) {
    if (outer.has(name)) report(statesPath, `assigns $${name}, a variable of the enclosing scope`);
  }
  for (const [name, state] of states) {
    const statePath = member(statesPath, name);
    if (names.has(name)) report(statePath, 'another state of this machine has the same name');
    if (name.length > 80) report(statePath, 'the name is longer than 80 characters');
    names.add(name);
    checkState(state, statePath, report);
    if (isObject(state)) checkInner(state, statePath, report, new Set([...outer, ...own]), names);
  }
  checkFlow(block, path, report);
}

const assignments = (state: Json): { [key: string]: Json }[] => {
  if (!isObject(state)) return [];
  const nested = [state.Choices, state.Catch].flatMap((value) => (Array.isArray(value) ? value : []));
  return [state, ...nested].flatMap((part) => (isObject(part) && isObject(part.Assign) ? [part.Assign] : []));
};

function checkState(state: Json, path: string, report: Report): void {
  if (!isObject(state)) {
    report(path, 'must be an object');
    return;
  }
  const type = String(state.Type);
  if (!Object.hasOwn(stateFields, type)) {
    report(member(path, 'Type'), `${type} is not a known type of state`);
    return;
  }
  const { fields, required } = stateFields[type as State['Type']];
  checkFields(state, type === 'Map' ? { ...fields, ...distributedFields } : fields, required, path, report);
  if ('Next' in fields && 'Next' in state === 'End' in state) report(path, 'must have either Next or End');
  for (const field of ['Retry', 'Catch']) checkAllLast(state[field], member(path, field), report);
  if (type === 'Wait' && 'Seconds' in state === 'Timestamp' in state) {
    report(path, 'must have either Seconds or Timestamp');
  }
  if (type === 'Choice' && Array.isArray(state.Choices) && state.Choices.length === 0) {
    report(member(path, 'Choices'), 'must not be empty');
  }
  if (type === 'Task') checkTask(state, path, report);
  if (type === 'Map') checkMap(state, path, report);
}

function checkAllLast(list: Json | undefined, path: string, report: Report): void {
  if (!Array.isArray(list)) return;
  list.forEach((item, index) => {
    if (!isObject(item)) return;
    const all = Array.isArray(item.ErrorEquals) && item.ErrorEquals.includes('States.ALL');
    if (all && index < list.length - 1) report(`${path}[${index}]`, 'States.ALL must come last');
    const { MaxDelaySeconds: longest, IntervalSeconds: first = 1 } = item;
    if (typeof longest === 'number' && typeof first === 'number' && longest <= first) {
      report(`${path}[${index}].MaxDelaySeconds`, 'must be greater than IntervalSeconds');
    }
  });
}

function checkTask(state: { [key: string]: Json }, path: string, report: Report): void {
  const { Resource, TimeoutSeconds, HeartbeatSeconds } = state;
  if (
    typeof TimeoutSeconds === 'number' &&
    typeof HeartbeatSeconds === 'number' &&
    HeartbeatSeconds >= TimeoutSeconds
  ) {
    report(member(path, 'HeartbeatSeconds'), 'must be smaller than TimeoutSeconds');
  }
  if (Resource === 'arn:aws:states:::ecs:runTask.sync' && isObject(state.Arguments)) {
    // AWS refuses them: it says itself by whom one task is started, to know it again.
    for (const field of ['StartedBy', 'Count']) {
      if (field in state.Arguments)
        report(member(member(path, 'Arguments'), field), 'is not supported by Step Functions');
    }
  }
  const waits = typeof Resource === 'string' && Resource.endsWith('.waitForTaskToken');
  if (HeartbeatSeconds !== undefined && !waits) {
    report(member(path, 'HeartbeatSeconds'), 'needs a .waitForTaskToken resource: nothing else sends heartbeats');
  }
  if (waits && !JSON.stringify(state.Arguments ?? null).includes('$states.context')) {
    report(member(path, 'Arguments'), 'must pass $states.context.Task.Token on, or nobody can answer');
  }
}

function checkInner(
  state: { [key: string]: Json },
  path: string,
  report: Report,
  outer: ReadonlySet<string>,
  names: Set<string>,
): void {
  if (state.Type === 'Parallel') {
    const branchesPath = member(path, 'Branches');
    if (!Array.isArray(state.Branches) || state.Branches.length === 0) {
      report(branchesPath, 'must be a non-empty array');
      return;
    }
    state.Branches.forEach((branch, index) => {
      checkBlock(branch, `${branchesPath}[${index}]`, {}, report, outer, names);
    });
  }
  if (state.Type === 'Map' && state.ItemProcessor !== undefined) {
    const extra = { ProcessorConfig: processorConfig };
    // The executions of a distributed Map see nothing of this one's variables, and may use their names.
    const visible = isDistributedMap(state) ? new Set<string>() : outer;
    checkBlock(state.ItemProcessor, member(path, 'ItemProcessor'), extra, report, visible, names);
  }
}

/** Every target exists, every state is reachable from StartAt, and an end can be reached. */
function checkFlow(block: { [key: string]: Json }, path: string, report: Report): void {
  const states = block.States as { [key: string]: Json };
  const known = (name: Json | undefined): name is string => typeof name === 'string' && Object.hasOwn(states, name);
  if (typeof block.StartAt === 'string' && !known(block.StartAt)) {
    report(member(path, 'StartAt'), `there is no state '${block.StartAt}' here`);
  }
  for (const [name, state] of Object.entries(states)) {
    for (const [target, place] of targets(state)) {
      if (!known(target))
        report(`${member(member(path, 'States'), name)}${place}`, `there is no state '${target}' here`);
    }
  }
  const reached = new Set<string>();
  const pending = known(block.StartAt) ? [block.StartAt] : [];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    pending.push(...targets(states[name] ?? null).flatMap(([target]) => (known(target) ? [target] : [])));
  }
  if (reached.size === 0) return;
  for (const name of Object.keys(states)) {
    if (!reached.has(name)) report(member(member(path, 'States'), name), 'is not reachable from StartAt');
  }
  const ends = [...reached].some((name) => {
    const state = states[name];
    return isObject(state) && (state.End === true || state.Type === 'Succeed' || state.Type === 'Fail');
  });
  if (!ends) report(member(path, 'States'), 'no state ends the machine; give one End, Succeed or Fail');
}

/** Where a state may lead, each with the place inside the state that says so. */
function targets(state: Json): [target: string, place: string][] {
  if (!isObject(state)) return [];
  const found: [Json | undefined, string][] = [
    [state.Next, '.Next'],
    [state.Default, '.Default'],
  ];
  for (const field of ['Choices', 'Catch']) {
    const list = state[field];
    if (!Array.isArray(list)) continue;
    list.forEach((item, index) => {
      if (isObject(item)) found.push([item.Next, `.${field}[${index}].Next`]);
    });
  }
  return found.flatMap(([target, place]) => (typeof target === 'string' ? [[target, place]] : []));
}
