import { loadConfig } from '../config/load.ts';
import { type Config, ConfigError } from '../config/schema.ts';
import { type Clients, createClients } from './clients.ts';
import { CliError, exitCode, toCliError } from './errors.ts';

/** What the commands that talk to a deployed pgdr share. */
export interface Deployment {
  readonly config: Config;
  readonly clients: Clients;
}

/** The configuration; what is wrong with it is bad usage. */
export async function loadConfiguration(): Promise<Config> {
  try {
    return await loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError('ConfigInvalid', error.message, {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
      cause: error,
    });
  }
}

/**
 * `region`: what was asked for, else AWS_REGION, else the primary region of the configuration. Commands of failovers
 * prefer the recovery region, wherever the shell is at home.
 */
export async function openDeployment(
  region: string | undefined,
  home: 'primary' | 'recovery' = 'primary',
): Promise<Deployment> {
  const config = await loadConfiguration();
  const fromShell = home === 'primary' ? process.env.AWS_REGION : undefined;
  const chosen = region ?? fromShell ?? config.regions[home];
  return { config, clients: createClients({ region: chosen }) };
}

/**
 * For commands that only look: where no region was asked for and the usual one does not answer, the other one is asked,
 * which is said on stderr.
 */
export async function fromAnyRegion<T>(
  region: string | undefined,
  look: (deployment: Deployment) => Promise<T>,
): Promise<T> {
  const lookIn = async (chosen: string | undefined) => {
    const deployment = await openDeployment(chosen);
    try {
      return await look(deployment);
    } finally {
      deployment.clients.close();
    }
  };
  try {
    return await lookIn(region);
  } catch (error) {
    const { regions } = await loadConfiguration();
    const usual = process.env.AWS_REGION ?? regions.primary;
    const other = [regions.recovery, regions.primary].find((each) => each !== usual) as string;
    if (region !== undefined || toCliError(error).name !== 'EndpointUnreachable') throw error;
    process.stderr.write(`${usual} does not answer: what follows is what ${other} holds.\n`);
    return await lookIn(other);
  }
}
