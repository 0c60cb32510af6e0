import { randomUUID } from 'node:crypto';
import type { World } from '../facade.ts';
import type { RunTaskInput } from './run-task-input.ts';
import type { Task } from './task.ts';
import type { TaskDefinition } from './task-definition.ts';

/** What a service is to keep up. */
export interface ServiceSettings {
  readonly definition: TaskDefinition;
  readonly desiredCount: number;
  /** What its tasks are started with. */
  readonly run: RunTaskInput;
  readonly maximumPercent: number;
  readonly minimumHealthyPercent: number;
}

export interface Deployment {
  readonly id: string;
  readonly definition: TaskDefinition;
  readonly createdAt: Date;
  updatedAt: Date;
  failedTasks: number;
  completed: boolean;
}

export interface ServiceEvent {
  readonly id: string;
  readonly createdAt: Date;
  readonly message: string;
}

export interface Service {
  readonly arn: string;
  readonly name: string;
  readonly region: string;
  readonly clusterName: string;
  readonly createdAt: Date;
  readonly settings: ServiceSettings;
  readonly status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  /** The newest first; the others' tasks are on their way out. */
  readonly deployments: readonly Deployment[];
  /** The newest first. */
  readonly events: readonly ServiceEvent[];
  tasksOf(deployment: Deployment): readonly Task[];
  /** Changes what is kept up; other tasks, or the same ones anew, are a deployment. */
  update(settings: ServiceSettings, forceNewDeployment: boolean): void;
  /** Stops every task; INACTIVE once they are gone. */
  drain(): void;
  /** Told of every change of a task that may be its own. */
  onTask(task: Task): void;
  /** Brings about what is missing: also after its region has come back. */
  reconcile(): void;
  close(): void;
}

/** A task of a service: when it began to run, and whether its end has been seen. */
interface Owned {
  readonly deployment: Deployment;
  running?: number;
  ended?: true;
}

export type StartServiceTask = (definition: TaskDefinition, run: RunTaskInput) => Task;

/** A task that ran so long was well: the next one is started at once when it ends. */
const STEADY = 60_000;
/** The longest pause between starts of tasks that keep failing; ECS goes up to 27 minutes. */
const LONGEST_PAUSE = 60_000;
const KEPT_EVENTS = 100;
const PRESENT = ['PROVISIONING', 'PENDING', 'RUNNING'];
const SCHEDULER = 'ServiceSchedulerInitiated';

/** Keeps as many tasks up as it was told to, on the cloud's clock; those that keep failing are started ever more slowly. */
export function createService(
  world: World,
  about: { arn: string; name: string; region: string; clusterName: string },
  initial: ServiceSettings,
  start: StartServiceTask,
): Service {
  const owners = new Map<Task, Owned>();
  const events: ServiceEvent[] = [];
  let settings = initial;
  let status: Service['status'] = 'ACTIVE';
  let deployments: Deployment[] = [];
  let failures = 0;
  let pause: (() => void) | undefined;
  let closed = false;

  const time = (): Date => new Date(world.now());
  const say = (message: string): void => {
    events.unshift({ id: randomUUID(), createdAt: time(), message: `(service ${about.name}) ${message}` });
    events.length = Math.min(events.length, KEPT_EVENTS);
  };
  const begin = (): void => {
    const id = `ecs-svc/${randomUUID().replaceAll('-', '').slice(0, 19)}`;
    const now = time();
    const { definition } = settings;
    deployments.unshift({ id, definition, createdAt: now, updatedAt: now, failedTasks: 0, completed: false });
    failures = 0;
    pause?.();
    pause = undefined;
  };

  const isLeaving = (task: Task): boolean => task.desiredStatus === 'STOPPED';
  const tasksOf = (deployment: Deployment): Task[] =>
    [...owners].filter(([, owner]) => owner.deployment === deployment).map(([task]) => task);
  const staying = (): Task[] => [...owners.keys()].filter((task) => !isLeaving(task));
  const isRunning = (task: Task): boolean => task.lastStatus === 'RUNNING' && !isLeaving(task);

  const stop = (tasks: readonly Task[], reason: string): void => {
    for (const task of tasks) task.stop(reason, SCHEDULER);
  };

  const reconcile = (): void => {
    if (closed || world.outages.state(about.region) === 'down') return;
    const [primary] = deployments;
    if (status === 'INACTIVE' || primary === undefined) return;
    const { desiredCount } = settings;
    const most = Math.max(Math.floor((desiredCount * settings.maximumPercent) / 100), 1);
    const least = Math.ceil((desiredCount * settings.minimumHealthyPercent) / 100);
    const own = () => staying().filter((task) => owners.get(task)?.deployment === primary);
    const old = staying().filter((task) => owners.get(task)?.deployment !== primary);

    const excess = own().length - desiredCount;
    if (excess > 0) stop(own().slice(-excess), 'Scaling activity initiated by deployment');
    // Old tasks go as far as enough remain, and all of them once the new ones run.
    const running = staying().filter(isRunning).length;
    const spare = own().filter(isRunning).length >= desiredCount ? old.length : Math.max(running - least, 0);
    const idle = old.filter((task) => !isRunning(task));
    stop([...idle, ...old.filter(isRunning).slice(0, spare)], 'Scaling activity initiated by deployment');

    // What is being stopped takes its place until it is gone.
    const present = [...owners.keys()].filter(({ lastStatus }) => PRESENT.includes(lastStatus)).length;
    const missing = Math.min(desiredCount - own().length, most - present);
    if (missing > 0 && pause === undefined && status === 'ACTIVE') {
      for (let i = 0; i < missing; i++) {
        const task = start(primary.definition, { ...settings.run, startedBy: primary.id });
        owners.set(task, { deployment: primary });
      }
      say(`has started ${missing} tasks`);
    }
    deployments = deployments.filter((one) => one === primary || tasksOf(one).length > 0);
    const isSteady = own().filter(isRunning).length === desiredCount && deployments.length === 1;
    if (isSteady && !primary.completed) {
      primary.completed = true;
      primary.updatedAt = time();
      say('has reached a steady state.');
    }
    if (status === 'DRAINING' && owners.size === 0) status = 'INACTIVE';
  };

  /** Called once, as soon as it is known that a task ends. */
  const ended = (task: Task, owner: Owned): void => {
    owner.ended = true;
    if (task.stopCode === SCHEDULER || world.outages.state(about.region) === 'down') return;
    const ran = owner.running === undefined ? 0 : world.now() - owner.running;
    // One that somebody stopped did not fail.
    failures = ran >= STEADY || task.stopCode === 'UserInitiated' ? 0 : failures + 1;
    if (owner.running === undefined) owner.deployment.failedTasks++;
    say(`had task ${task.arn.split('/').at(-1)} end by itself`);
    // The first failure is made good at once.
    if (failures < 2) return;
    const wait = Math.min(1000 * 2 ** (failures - 2), LONGEST_PAUSE);
    if (failures === 3) say('is unable to consistently start tasks successfully.');
    pause?.();
    pause = world.clock.timer(wait, () => {
      pause = undefined;
      reconcile();
    });
  };

  begin();
  return {
    ...about,
    createdAt: time(),
    get settings() {
      return settings;
    },
    get status() {
      return status;
    },
    get deployments() {
      return deployments;
    },
    events,
    tasksOf,
    update: (next, forceNewDeployment) => {
      const isNew = forceNewDeployment || next.definition !== settings.definition;
      settings = next;
      if (isNew) begin();
      reconcile();
    },
    drain: () => {
      status = 'DRAINING';
      settings = { ...settings, desiredCount: 0 };
      reconcile();
    },
    onTask: (task) => {
      const owner = owners.get(task);
      if (owner === undefined) return;
      if (task.lastStatus === 'RUNNING') owner.running ??= world.now();
      if (isLeaving(task) && !owner.ended) ended(task, owner);
      if (task.lastStatus === 'STOPPED') owners.delete(task);
      reconcile();
    },
    reconcile,
    close: () => {
      closed = true;
      pause?.();
    },
  };
}
