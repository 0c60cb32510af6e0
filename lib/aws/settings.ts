import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { type DatabaseSettings, parseSettings } from '../core/settings.ts';

/** What is deployed for a database in this region. Throws `SettingsInvalid`, or what SSM says. */
export async function loadSettings(system: string, database: string): Promise<DatabaseSettings> {
  const client = new SSMClient({ maxAttempts: 5 });
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name: `/${system}/databases/${database}` }));
    return parseSettings(JSON.parse(Parameter?.Value ?? 'null'));
  } finally {
    client.destroy();
  }
}
