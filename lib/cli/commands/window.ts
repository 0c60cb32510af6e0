import { humanSeconds } from '../../core/human.ts';
import { openDeployment } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { CliError, type ExitCode, exitCode, toCliError } from '../errors.ts';
import { createOutput, formatTable } from '../output.ts';
import { readWindow, type WindowRange } from '../recoverable-window.ts';

export interface WindowOptions {
  readonly json?: boolean;
  readonly region?: string;
}

/** One element of `regions` in `pgdr window --json`; documented in docs/cli.md. */
interface RegionWindow {
  readonly region: string;
  readonly ranges: readonly WindowRange[];
  /** Why there is nothing to say of this region. */
  readonly problem?: string;
}

/** `pgdr window <database>`: from when to when each region can recover, and why each edge is where it is. */
export async function window(database: string, options: WindowOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { config, clients } = await openDeployment(options.region);
  clients.close();
  const regions = options.region ? [options.region] : [config.regions.primary, config.regions.recovery];
  const windows = await Promise.all(regions.map((region) => windowOf(region, database)));
  if (windows.every(({ problem }) => problem !== undefined)) {
    throw new CliError('WindowUnknown', windows.map(({ region, problem }) => `${region}: ${problem}`).join('\n'), {
      intact: 'Nothing was changed.',
    });
  }
  output.result({ database, regions: windows }, () => windows.map((one) => render(one)).join('\n\n'));
  return windows.some(({ ranges }) => ranges.length > 0) ? exitCode.done : exitCode.notFound;
}

async function windowOf(region: string, database: string): Promise<RegionWindow> {
  const { config, clients } = await openDeployment(region);
  try {
    const settings = await readSettings(clients, config.name, database);
    return { region, ranges: await readWindow(clients, settings) };
  } catch (error) {
    return { region, ranges: [], problem: toCliError(error).message };
  } finally {
    clients.close();
  }
}

function render({ region, ranges, problem }: RegionWindow): string {
  if (problem !== undefined) return `${region}: ${problem}`;
  if (ranges.length === 0)
    return `${region}: no point in time can be recovered; there is no verified base backup with its WAL.`;
  const rows = ranges.map(({ timeline, from, to, seconds }) => [
    from.at ?? '',
    to.at ?? 'unknown',
    seconds === null ? '' : humanSeconds(seconds),
    String(timeline),
    from.lsn,
    to.lsn,
    `${from.why}; ${to.why}`,
  ]);
  const header = ['From', 'To', 'Length', 'Timeline', 'From LSN', 'To LSN', 'Why'];
  return `${region}\n${formatTable(header, rows, [2, 3])}`;
}
