import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { openStateItems, type StateItems } from '../aws/state-items.ts';
import { failoverParameterName, stateTableName } from '../config/names.ts';
import { type FailoverSettings, parseFailoverSettings } from '../core/failover-settings.ts';
import type { Clients } from './clients.ts';
import { openDeployment } from './context.ts';
import { CliError, exitCode } from './errors.ts';

/** What the commands of failovers share: they talk to the recovery region, whichever is asked for elsewhere. */
export interface FailoverDeployment {
  readonly clients: Clients;
  readonly settings: FailoverSettings;
  readonly items: StateItems;
  readonly account: { readonly partition: string; readonly id: string };
  close(): void;
}

export async function openFailover(database: string, region: string | undefined): Promise<FailoverDeployment> {
  const { config, clients } = await openDeployment(region, 'recovery');
  const Name = failoverParameterName(config.name, database);
  try {
    const { Parameter } = await clients.ssm.send(new GetParameterCommand({ Name }));
    const settings = parseFailoverSettings(JSON.parse(Parameter?.Value ?? 'null'));
    const [, partition = 'aws', , , id = ''] = (Parameter?.ARN ?? '').split(':');
    return {
      clients,
      settings,
      items: openStateItems(stateTableName(config.name), database, settings.region),
      account: { partition, id },
      close: clients.close,
    };
  } catch (cause) {
    clients.close();
    if ((cause as Error).name !== 'ParameterNotFound') throw cause;
    throw new CliError('UnknownDatabase', `${database} of ${config.name} has no standby in ${clients.region}.`, {
      exit: exitCode.notFound,
      intact: 'Nothing was started.',
      tryNext: 'Add standby, endpoint and failover to the database in pgdr.config.ts and deploy.',
      cause,
    });
  }
}
