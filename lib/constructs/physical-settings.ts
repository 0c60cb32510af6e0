import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { taskSettings } from '../config/database-settings.ts';
import { physicalSettingsParameterName, stateTableName } from '../config/names.ts';
import type { PhysicalConfig } from '../config/physical-schema.ts';
import type { PhysicalSettings } from '../core/physical-settings.ts';
import { SettingsParameter } from './settings-parameter.ts';

export interface PhysicalSettingsProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  readonly physical: PhysicalConfig;
  /** Of the server that base backups and WAL of this region come from. */
  readonly secret: string;
}

/** The parameter from which workflows learn that a database has physical backups, and how they are taken. */
export class PhysicalSettingsParameter extends Construct {
  readonly settings: PhysicalSettings;

  constructor(scope: Construct, id: string, { system, database, physical, secret }: PhysicalSettingsProps) {
    super(scope, id);
    this.settings = {
      schemaVersion: 1,
      secret,
      slot: physical.slot ?? `pgdr_${database.name.replaceAll('-', '_')}`,
      stateTable: stateTableName(system),
      walChunkSeconds: physical.walChunkInterval,
      walChunkBytes: physical.walChunkMiB * 2 ** 20,
      heartbeatSeconds: physical.heartbeatInterval,
      synchronous: physical.synchronous,
      fullEverySeconds: physical.base.fullEvery ?? null,
      pitrWindowSeconds: physical.pitrWindow,
      tasks: { base: taskSettings(physical.base.task) },
    };
    new SettingsParameter(this, 'Settings', {
      parameterName: physicalSettingsParameterName(system, database.name),
      description: `Physical backups of ${database.name} in ${system}`,
      database: database.name,
      settings: this.settings,
    });
  }
}
