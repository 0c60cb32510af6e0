import { join } from 'node:path';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import {
  database,
  type Rehearsal,
  type RehearsalOptions,
  region,
  restoreSecret,
  startRehearsal,
} from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { settingsParameterName } from '../../lib/config/names.ts';
import type { BackupSummary, RestoreSummary, WorkflowFailure } from '../../lib/core/outcome.ts';
import type { RestoreRequest } from '../../lib/core/restore-request.ts';
import type { DatabaseSettings } from '../../lib/core/settings.ts';
import { byTask } from './rehearsal-strikes.ts';

/** A deployed pgdr with a database, to restore from by its own workflow. */
export interface RestoreRuns {
  readonly rehearsal: Rehearsal;
  /** Runs SQL as the superuser of the server that is backed up; gives the rows of the last statement. */
  sql(databaseName: string, text: string): Promise<any[]>;
  backup(): Promise<BackupSummary>;
  /** What the workflows know of the database from now on. */
  setSettings(settings: DatabaseSettings): Promise<void>;
  /** By the role that may create databases, unless the request says otherwise. */
  restore(request: Partial<RestoreRequest>): Promise<RestoreRun>;
  /** What the secret of the restore target holds from now on; without a value, the server that is backed up. */
  setTarget(value?: Readonly<Record<string, unknown>>): Promise<void>;
  stop(): Promise<void>;
}

export interface RestoreRun {
  readonly summary: RestoreSummary | undefined;
  readonly failure: WorkflowFailure | undefined;
  /** Keys of the backup that the task has read, without their prefix. */
  readonly read: readonly string[];
}

export async function startRestoreRuns(
  name: string,
  size = 2_000_000,
  options: Partial<Pick<RehearsalOptions, 'postgres' | 'restorePostgres' | 'clientEncryption' | 'alter'>> = {},
): Promise<RestoreRuns> {
  const run = openRunDirectory(join(workDirectory, 'rehearse'), `${name}-${process.pid}`);
  const rehearsal = await startRehearsal({
    ...options,
    postgres: options.postgres ?? providePostgres(() => {}),
    directory: run.path,
    size,
    steps: createSteps(createOutput(true)),
    writeLoad: false,
  });
  const { clients, cloud, settings, source } = rehearsal;

  return {
    rehearsal,
    async sql(databaseName, text) {
      const client = await source.server.connect(databaseName);
      try {
        const result = await client.query(text);
        return (Array.isArray(result) ? result.at(-1) : result).rows;
      } finally {
        await client.end();
      }
    },
    async backup() {
      const { outcome, failure } = await rehearsal.run('backup-logical');
      if (!outcome?.backup) throw new Error(`the backup failed: ${failure?.error}: ${failure?.message}`);
      return outcome.backup;
    },
    async setSettings(changed) {
      const Name = settingsParameterName(changed.system, changed.database);
      await clients.ssm.send(new PutParameterCommand({ Name, Value: JSON.stringify(changed), Overwrite: true }));
    },
    async restore(request) {
      const before = new Set(cloud.calls());
      const { executionArn } = await clients.sfn.send(
        new StartExecutionCommand({
          stateMachineArn: stateMachineArn(settings, region, 'restore'),
          input: JSON.stringify({ database, targetSecret: restoreSecret, ...request }),
        }),
      );
      const { execution } = await followExecution(clients.sfn, executionArn as string, { interval: 100 });
      const read = cloud
        .calls()
        .filter((call) => !before.has(call) && call.operation === 'GetObject' && byTask('recover')(call))
        .map(({ input }) => /\/logical\/[^/]+\/(.+)$/.exec(String(input.Key))?.[1] ?? String(input.Key));
      return {
        summary: execution.output === undefined ? undefined : JSON.parse(execution.output).restore,
        failure: execution.cause === undefined ? undefined : JSON.parse(execution.cause),
        read: [...new Set(read)].sort(),
      };
    },
    async setTarget(value = { ...source.secret, username: 'postgres', password: source.server.superuser.password }) {
      await clients.secrets.send(
        new PutSecretValueCommand({ SecretId: restoreSecret, SecretString: JSON.stringify(value) }),
      );
    },
    async stop() {
      await rehearsal.stop();
      run.close();
    },
  };
}
