import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { databaseSettings } from '../config/database-settings.ts';
import { settingsParameterName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { bucketName } from './arns.ts';
import type { DatabaseRoles } from './database-roles.ts';
import { SettingsParameter } from './settings-parameter.ts';

export interface DatabaseSettingsProps {
  readonly config: Config;
  readonly database: DatabaseConfig;
  readonly roles: DatabaseRoles;
  /** Of the server that backups of this region are taken from. */
  readonly secret: string;
}

/** The parameter from which workflows learn of a database; without it there is none in this region. */
export class DatabaseSettingsParameter extends Construct {
  constructor(scope: Construct, id: string, { config, database, roles, secret }: DatabaseSettingsProps) {
    super(scope, id);
    const { name: system } = config;
    new SettingsParameter(this, 'Settings', {
      parameterName: settingsParameterName(system, database.name),
      description: `What the workflows of ${system} know of ${database.name}`,
      database: database.name,
      settings: databaseSettings(config, database, {
        secret,
        bucket: bucketName(this, system),
        backupRoleArn: roles.backup.roleArn,
        restoreRoleArn: roles.restore.roleArn,
        recoverRoleArn: roles.recover.roleArn,
      }),
    });
  }
}
