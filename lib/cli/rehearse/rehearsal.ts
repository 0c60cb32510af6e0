import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { CreateSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import type { DescribeExecutionOutput } from '@aws-sdk/client-sfn';
import { type Cloud, startCloud } from '../../../local/cloud.ts';
import type { ImageRoot } from '../../../local/runtime/image-root.ts';
import { scheduleName } from '../../config/names.ts';
import { humanBytes } from '../../core/human.ts';
import type { Outcome, Workflow, WorkflowFailure } from '../../core/outcome.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import { tellsOutcome } from '../../core/slack-message.ts';
import { type Clients, createClients } from '../clients.ts';
import { readSettings } from '../deployed.ts';
import { CliError } from '../errors.ts';
import { followExecution } from '../follow.ts';
import { onInterrupt } from '../interrupt.ts';
import type { PostgresBinaries } from '../setup/postgres-binaries.ts';
import type { StateStep } from '../states.ts';
import type { Steps } from '../steps.ts';
import { watchTask } from '../task-progress.ts';
import { synthesize } from './assembly.ts';
import { type DemoDatabase, fillDemoDatabase, startDemoDatabase } from './demo-database.ts';
import { requireReachable, serverAccount } from './unprivileged.ts';
import { type SlackMessage, startWebhook, type Webhook } from './webhook.ts';
import { startWriteLoad, type WriteLoad } from './write-load.ts';

/** The deployed templates on a local cloud, beside a real PostgreSQL server with data in it. */

export const system = 'rehearsal';
export const database = 'orders';
export const region = 'eu-north-1';
/** The configuration that a rehearsal deploys. */
export const rehearsalConfig = join(import.meta.dirname, 'rehearsal.config.ts');
const databaseSecret = 'orders/primary';
/** Of a role that may create databases, for restores: the role of backups may only read. */
export const restoreSecret = 'orders/restore';
/** Of a server of {@link RehearsalOptions.restorePostgres}; whoever starts one makes it. */
export const upgradeSecret = 'orders/upgrade';
const slackSecret = 'pgdr/slack';

export interface RehearsalOptions {
  readonly postgres: PostgresBinaries;
  /** What the restore test restores into, of the same major or a newer one. @default postgres */
  readonly restorePostgres?: PostgresBinaries;
  /** Built images by major; without them tasks run with the tools of this machine. */
  readonly images?: ReadonlyMap<number, ImageRoot>;
  /** Where the run keeps everything; made, and emptied first. */
  readonly directory: string;
  /** Bytes of data to begin with. */
  readonly size: number;
  readonly steps: Steps;
  /** Encrypts backups before they are stored. @default false */
  readonly clientEncryption?: boolean;
  /** Gives the assembly to deploy in the place of the synthesized one: for tests that take something from a template. */
  readonly alter?: (assembly: string) => string;
  /** Port of the cloud's endpoint. @default a free one */
  readonly port?: number;
  /** @default true */
  readonly writeLoad?: boolean;
  readonly onSlackMessage?: (message: SlackMessage) => void;
  readonly verbose?: (line: string) => void;
}

export interface Rehearsal {
  readonly cloud: Cloud;
  readonly source: DemoDatabase;
  /** Bytes of data that the source began with. */
  readonly sourceBytes: number;
  readonly webhook: Webhook;
  readonly writeLoad: WriteLoad | undefined;
  readonly clients: Clients;
  readonly settings: DatabaseSettings;
  readonly postgres: PostgresBinaries;
  readonly directory: string;
  /** Puts another value into the secret of the database. */
  setDatabaseSecret(value: unknown): Promise<void>;
  /** Makes the time of the workflow's schedule (of its name, unless another) come now, and follows the execution to its end. */
  run(workflow: Workflow, schedule?: string): Promise<WorkflowRun>;
  /** Makes the time of the posture's schedule come now. */
  publishPosture(): Promise<void>;
  /** Takes the cloud down with all that runs in it, and starts one anew that knows its buckets and nothing else. */
  restartCloud(): Promise<void>;
  /** Stops everything that was started. Safe to call twice. */
  stop(): Promise<void>;
}

export interface WorkflowRun {
  readonly workflow: Workflow;
  readonly executionArn: string;
  readonly execution: DescribeExecutionOutput;
  readonly succeeded: boolean;
  readonly startedAt: Date;
  readonly seconds: number;
  readonly states: readonly StateStep[];
  /** Of an execution that succeeded. */
  readonly outcome: Outcome | undefined;
  /** Of one that failed. */
  readonly failure: WorkflowFailure | undefined;
  /** What Slack was told of this run. */
  readonly slack: SlackMessage | undefined;
}

export async function startRehearsal(options: RehearsalOptions): Promise<Rehearsal> {
  const { postgres, restorePostgres = postgres, directory, steps } = options;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  requireReachable(directory, serverAccount());
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
    forget();
  };
  const forget = onInterrupt(stop);

  try {
    const assembly = await steps.run('Synthesize', async (say) => {
      const result = await synthesize(rehearsalConfig, {
        PGDR_REHEARSE_MAJOR: String(postgres.major),
        PGDR_REHEARSE_RESTORE_MAJOR: String(restorePostgres.major),
        PGDR_REHEARSE_CLIENT_ENCRYPTION: String(options.clientEncryption ?? false),
      });
      say(`${result.reused ? 'unchanged, reused ' : ''}${relative(process.cwd(), result.directory)}`);
      return options.alter?.(result.directory) ?? result.directory;
    });
    const deploy = () =>
      startCloud({
        assembly,
        directory: join(directory, 'cloud'),
        port: options.port,
        // In the cloud the image holds the tools of its major; here, unless it was built, they are this machine's.
        imageRoot: ({ buildArgs }) => options.images?.get(Number(buildArgs.PG_MAJOR)),
        containerPath: ({ buildArgs }) => [binariesFor(buildArgs.PG_MAJOR, [postgres, restorePostgres])],
        verbose: options.verbose,
      });
    let cloud = await steps.run('Deploy to a local cloud', async (say) => {
      const started = await deploy();
      undo.push(() => cloud.close());
      say(`${started.stacks.length} stacks in ${started.regions.join(' and ')}, ${started.endpoint}`);
      return started;
    });
    const webhook = await startWebhook(options.onSlackMessage);
    undo.push(() => webhook.close());
    const source = await steps.run(`Start PostgreSQL ${postgres.major}`, async (say) => {
      const started = await startDemoDatabase(postgres.bin, join(directory, 'source'));
      undo.push(() => started.server.stop());
      say(`${postgres.version} on port ${started.server.port}`);
      return started;
    });
    const sourceBytes = await steps.run('Load data', async (say) => {
      const bytes = await fillDemoDatabase(source, options.size, (now) => say(humanBytes(now)));
      say(`${humanBytes(bytes)} of tables and indexes`);
      return bytes;
    });
    let clients = createClients(cloud.client(region));
    undo.push(async () => clients.close());
    const createSecrets = async () => {
      await createSecret(clients, databaseSecret, source.secret);
      const { user: username, password } = source.server.superuser;
      await createSecret(clients, restoreSecret, { ...source.secret, username, password });
      await createSecret(clients, slackSecret, { url: webhook.url });
    };
    await createSecrets();
    const settings = await readSettings(clients, system, database);
    const writeLoad = options.writeLoad === false ? undefined : await startWriteLoad(source);
    if (writeLoad) undo.push(() => writeLoad.stop().catch(() => {}));

    return {
      get cloud() {
        return cloud;
      },
      get clients() {
        return clients;
      },
      source,
      sourceBytes,
      webhook,
      writeLoad,
      settings,
      postgres,
      directory,
      stop,
      async setDatabaseSecret(value) {
        await clients.secrets.send(
          new PutSecretValueCommand({ SecretId: databaseSecret, SecretString: JSON.stringify(value) }),
        );
      },
      async publishPosture() {
        await cloud.scheduler.fire(region, scheduleName(system, database, 'publish-posture'));
      },
      async restartCloud() {
        clients.close();
        await cloud.close();
        cloud = await deploy();
        clients = createClients(cloud.client(region));
        await createSecrets();
      },
      run: (workflow, schedule = workflow) => runWorkflow({ cloud, clients, webhook, steps }, workflow, schedule),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function binariesFor(major: string | undefined, available: readonly PostgresBinaries[]): string {
  const found = available.find((postgres) => Number(major) === postgres.major);
  if (found) return found.bin;
  throw new CliError(
    'PostgresMissing',
    `A task wants the tools of PostgreSQL ${major}, but there are those of ${available.map((p) => p.major).join(', ')}.`,
  );
}

const createSecret = (clients: Clients, name: string, value: unknown) =>
  clients.secrets.send(new CreateSecretCommand({ Name: name, SecretString: JSON.stringify(value) }));

async function runWorkflow(
  { cloud, clients, webhook, steps }: Pick<Rehearsal, 'cloud' | 'clients' | 'webhook'> & { steps: Steps },
  workflow: Workflow,
  schedule: string,
): Promise<WorkflowRun> {
  const slackBefore = webhook.messages.length;
  const { executionArn } = await cloud.scheduler.fire(region, scheduleName(system, database, schedule));
  if (executionArn === undefined) {
    throw new CliError('ScheduleFailed', `The schedule of ${workflow} was due, but no execution started.`, {
      tryNext: 'Look for its message in the dead-letter queue of the schedules.',
    });
  }
  const {
    execution,
    steps: states,
    seconds,
  } = await followExecution(clients.sfn, executionArn, {
    watcher: steps.watch(workflow),
    interval: 100,
    progress: watchTask(clients, system, executionArn),
  });
  const succeeded = execution.status === 'SUCCEEDED';
  const slack = await webhook.waitFor((message) => tellsOutcome(message, workflow), 20, slackBefore);
  return {
    workflow,
    executionArn,
    execution,
    succeeded,
    startedAt: execution.startDate as Date,
    seconds,
    states,
    slack,
    outcome: succeeded ? parseJson<Outcome>(execution.output) : undefined,
    failure: succeeded ? undefined : parseJson<WorkflowFailure>(execution.cause),
  };
}

/** Undefined for what is not JSON: the cause of an execution that failed in its own machinery is plain text. */
function parseJson<T>(text: string | undefined): T | undefined {
  try {
    return JSON.parse(text ?? '') as T;
  } catch {
    return undefined;
  }
}
