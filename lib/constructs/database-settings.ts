import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { clientKeyAlias, settingsParameterName, taskFamily } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { isEverything } from '../core/selection.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import { bucketName } from './arns.ts';
import type { DatabaseRoles } from './database-roles.ts';
import { SettingsParameter } from './settings-parameter.ts';

/** How Fargate runs a job, in the spelling of its API: CPU units (1024 a vCPU) and MiB. */
export const taskSettings = (task: DatabaseConfig['logical']['task']): DatabaseSettings['tasks']['backup'] => ({
  cpu: String(task.vcpu * 1024),
  memory: String(task.memoryGiB * 1024),
  storageGiB: task.storageGiB,
  timeoutSeconds: task.timeout,
  heartbeatSeconds: task.heartbeatTimeout,
});

export interface DatabaseSettingsProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  readonly roles: DatabaseRoles;
  /** Of the server that backups of this region are taken from. */
  readonly secret: string;
  readonly lock: Config['retention']['lock'];
}

/** The parameter from which workflows learn of a database; without it there is none in this region. */
export class DatabaseSettingsParameter extends Construct {
  constructor(scope: Construct, id: string, { system, database, roles, secret, lock }: DatabaseSettingsProps) {
    super(scope, id);
    const { logical, restoreTest, restore } = database;
    const { schemaOnly, include = null, exclude } = logical;
    const selection = { schemaOnly, include, exclude };
    const settings: DatabaseSettings = {
      schemaVersion: 1,
      system,
      database: database.name,
      lineage: database.lineage,
      version: database.version,
      secret,
      bucket: bucketName(this, system),
      taskDefinition: taskFamily(system, database.version),
      restoreTaskDefinition: taskFamily(system, restoreTest.version ?? database.version),
      backupRoleArn: roles.backup.roleArn,
      restoreRoleArn: roles.restore.roleArn,
      recoverRoleArn: roles.recover.roleArn,
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
    new SettingsParameter(this, 'Settings', {
      parameterName: settingsParameterName(system, database.name),
      description: `What the workflows of ${system} know of ${database.name}`,
      database: database.name,
      settings,
    });
  }
}
