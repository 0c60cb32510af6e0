import { GetParameterCommand, ParameterNotFound, SSMClient } from '@aws-sdk/client-ssm';
import { type FailoverSettings, parseFailoverSettings } from '../core/failover-settings.ts';
import { type ProtectionSettings, parseProtectionSettings } from '../core/protection-settings.ts';
import { parseRetentionSettings, type RetentionSettings } from '../core/retention/settings.ts';
import { type DatabaseSettings, parseSettings } from '../core/settings.ts';

/** What is deployed for a database in this region. Throws `SettingsInvalid`, or what SSM says. */
export const loadSettings = async (system: string, database: string): Promise<DatabaseSettings> =>
  parseSettings(await readParameter(`/${system}/databases/${database}`));

export const loadRetentionSettings = async (system: string, database: string): Promise<RetentionSettings> =>
  parseRetentionSettings(await readParameter(`/${system}/databases/${database}/retention`));

/** Whether the database has base backups and a receiver of WAL. */
export async function isPhysical(system: string, database: string): Promise<boolean> {
  try {
    await readParameter(`/${system}/databases/${database}/physical`);
    return true;
  } catch (error) {
    if (error instanceof ParameterNotFound) return false;
    throw error;
  }
}

export const loadFailoverSettings = async (system: string, database: string): Promise<FailoverSettings> =>
  parseFailoverSettings(await readParameter(`/${system}/databases/${database}/failover`));

export const loadProtectionSettings = async (system: string, database: string): Promise<ProtectionSettings> =>
  parseProtectionSettings(await readParameter(`/${system}/databases/${database}/protection`));

async function readParameter(Name: string): Promise<unknown> {
  const client = new SSMClient({ maxAttempts: 5 });
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name }));
    return JSON.parse(Parameter?.Value ?? 'null');
  } finally {
    client.destroy();
  }
}
