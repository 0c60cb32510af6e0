import { isEverything } from '../core/selection.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import type { DatabaseConfig } from './database-schema.ts';
import { clientKeyAlias, taskFamily } from './names.ts';
import type { Config } from './schema.ts';

/** How Fargate runs a job, in the spelling of its API: CPU units (1024 a vCPU) and MiB. */
export const taskSettings = (task: DatabaseConfig['logical']['task']): DatabaseSettings['tasks']['backup'] => ({
  cpu: String(task.vcpu * 1024),
  memory: String(task.memoryGiB * 1024),
  storageGiB: task.storageGiB,
  timeoutSeconds: task.timeout,
  heartbeatSeconds: task.heartbeatTimeout,
});

/** What only a deployment knows. */
type Deployed = Pick<DatabaseSettings, 'secret' | 'bucket' | 'backupRoleArn' | 'restoreRoleArn' | 'recoverRoleArn'>;

/** What the workflows know of a database, as the configuration says it. */
export function databaseSettings(
  { name: system, retention: { lock } }: Pick<Config, 'name' | 'retention'>,
  database: DatabaseConfig,
  deployed: Deployed,
): DatabaseSettings {
  const { logical, restoreTest, restore } = database;
  const { schemaOnly, include = null, exclude } = logical;
  const selection = { schemaOnly, include, exclude };
  return {
    schemaVersion: 1,
    system,
    database: database.name,
    lineage: database.lineage,
    version: database.version,
    secret: deployed.secret,
    bucket: deployed.bucket,
    taskDefinition: taskFamily(system, database.version),
    restoreTaskDefinition: taskFamily(system, restoreTest.version ?? database.version),
    backupRoleArn: deployed.backupRoleArn,
    restoreRoleArn: deployed.restoreRoleArn,
    recoverRoleArn: deployed.recoverRoleArn,
    logical: {
      databases: logical.databases ?? null,
      ...(isEverything(selection) ? {} : { select: selection }),
      ownStreams: logical.ownStreams,
      concurrency: logical.concurrency,
      zstdLevel: logical.zstdLevel,
      lockTimeoutSeconds: logical.lockTimeout,
      reuseSeconds: logical.reuseUnchangedFor,
      clientKey: logical.clientEncryption ? clientKeyAlias(system) : undefined,
      allowSkipped: logical.allowSkipped,
    },
    lock: { mode: lock.mode, seconds: lock.duration },
    restoreTest: { assertions: restoreTest.assertions },
    objectives: { rpoSeconds: database.objectives.rpo, rtoSeconds: database.objectives.rto },
    restore: {
      targets: restore.targets.map(({ secret, version }) => ({
        secret,
        taskDefinition: taskFamily(system, version ?? database.version),
      })),
    },
    tasks: {
      backup: taskSettings(logical.task),
      restore: taskSettings(restoreTest.task),
      recover: taskSettings(restore.task),
    },
  };
}
