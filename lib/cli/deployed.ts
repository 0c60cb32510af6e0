import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { settingsParameterName, stateMachineName } from '../config/names.ts';
import type { Workflow } from '../core/outcome.ts';
import { type DatabaseSettings, parseSettings } from '../core/settings.ts';
import type { Clients } from './clients.ts';
import { CliError, exitCode } from './errors.ts';

/** What is deployed for a database, as the workflows themselves read it. Exit 4 when there is no such database. */
export async function readSettings(clients: Clients, system: string, database: string): Promise<DatabaseSettings> {
  const name = settingsParameterName(system, database);
  try {
    const { Parameter } = await clients.ssm.send(new GetParameterCommand({ Name: name }));
    return parseSettings(JSON.parse(Parameter?.Value ?? 'null'));
  } catch (cause) {
    if ((cause as Error).name !== 'ParameterNotFound') throw cause;
    throw new CliError('UnknownDatabase', `No database ${database} of ${system} is deployed in ${clients.region}.`, {
      exit: exitCode.notFound,
      cause,
    });
  }
}

/** The account is the one that the task roles of the settings belong to. */
export function stateMachineArn(settings: DatabaseSettings, region: string, workflow: Workflow): string {
  const [, partition, , , account] = settings.backupRoleArn.split(':');
  return `arn:${partition}:states:${region}:${account}:stateMachine:${stateMachineName(settings.system, workflow)}`;
}
