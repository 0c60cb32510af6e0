import type { DatabaseConfig } from '../../config/database-schema.ts';
import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { humanBytes, humanSeconds } from '../../core/human.ts';
import { type Answer, answerOf, type RegionFacts } from '../../core/recoverability.ts';
import { createClients } from '../clients.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { createOutput, type Output } from '../output.ts';
import { readRegionFacts } from '../region-facts.ts';
import { readWriter, type WriterFact } from '../writer.ts';

export interface StatusOptions {
  readonly json?: boolean;
  readonly region?: string;
}

/** One element of `databases` in `pgdr status --json`; documented in docs/cli.md. */
export interface DatabaseStatus extends Answer {
  readonly database: string;
  readonly objectives: { readonly rpoSeconds: number; readonly rtoSeconds: number };
  readonly regions: readonly RegionFacts[];
  /** Of a database that fails over. */
  readonly writer?: WriterFact;
}

/** `pgdr status [database]`: could we recover now, to when, how fast, and who says so. Asks whatever region is left. */
export async function status(database: string | undefined, options: StatusOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const config = await loadConfig();
  const databases = chosen(config, database);
  const now = new Date();
  const found = await statusOf(config, databases, options.region, now);
  output.result({ schemaVersion: 1, system: config.name, at: now.toISOString(), databases: found }, () =>
    found.map((one) => render(one, output)).join('\n\n'),
  );
  return found.every(({ recoverable }) => recoverable !== 'no') ? exitCode.done : exitCode.failed;
}

export async function statusOf(
  config: Config,
  databases: readonly DatabaseConfig[],
  region: string | undefined,
  now: Date,
): Promise<DatabaseStatus[]> {
  const regions = region ? [region] : [config.regions.primary, config.regions.recovery];
  const clients = regions.map((name) => createClients({ region: name }));
  try {
    return await Promise.all(
      databases.map(async (database) => {
        const [writer, ...facts] = await Promise.all([
          readWriter(config, database),
          ...clients.map((one) => readRegionFacts(one, config.name, database)),
        ]);
        const restoreTestIntervalSeconds = database.restoreTest.schedule.longestIntervalSeconds;
        const { rpo: rpoSeconds, rto: rtoSeconds } = database.objectives;
        return {
          database: database.name,
          ...answerOf(facts, { now, restoreTestIntervalSeconds }),
          objectives: { rpoSeconds, rtoSeconds },
          regions: facts,
          ...(writer && { writer }),
        };
      }),
    );
  } finally {
    for (const one of clients) one.close();
  }
}

export function chosen(config: Config, name: string | undefined): readonly DatabaseConfig[] {
  if (name === undefined) return config.databases;
  const found = config.databases.filter((one) => one.name === name);
  if (found.length > 0) return found;
  throw new CliError('UnknownDatabase', `There is no database ${name} in the configuration of ${config.name}.`, {
    exit: exitCode.notFound,
    tryNext: `It knows ${config.databases.map((one) => one.name).join(', ')}.`,
  });
}

const words = { yes: ['good', 'YES'], unproven: ['warn', 'UNPROVEN'], no: ['bad', 'NO'] } as const;

function render(found: DatabaseStatus, output: Output): string {
  const [style, word] = words[found.recoverable];
  const { to, lossSeconds, seconds, provenBy, objectives } = found;
  const against = (value: number, objective: number) =>
    `${humanSeconds(value)}, objective ${humanSeconds(objective)}${value > objective ? output.paint('bad', ' MISSED') : ''}`;
  const lines: [string, string][] = [['Could we recover now?', `${output.paint(style, word)}: ${found.says}`]];
  if (to !== null && lossSeconds !== null) {
    lines.push(['To when?', `${to}, losing ${against(lossSeconds, objectives.rpoSeconds)}`]);
    const window = found.regions.find(({ region }) => region === found.region)?.window ?? [];
    const moments = window.map(({ from, to }) => `${from} to ${to}`).join(', ');
    if (moments !== '') lines.push(['Any moment of', moments]);
    lines.push(['Where?', `${found.region}`]);
  }
  if (seconds !== null) lines.push(['How fast?', against(seconds, objectives.rtoSeconds)]);
  if (provenBy) lines.push(['Who says so?', `restore test ${provenBy.id} of ${provenBy.at}, level ${provenBy.level}`]);
  if (found.writer) lines.push(['Who is the writer?', describeWriter(found.writer, output)]);
  for (const region of found.regions) lines.push([region.region, describe(region, output)]);
  const width = Math.max(...lines.map(([label]) => label.length));
  return [
    output.paint('strong', found.database),
    ...lines.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`),
  ].join('\n');
}

function describeWriter(writer: WriterFact, output: Output): string {
  if ('problem' in writer) return output.paint('bad', writer.problem);
  const { server, region, epoch, underWay } = writer;
  const where = `${server}, in ${region}, epoch ${epoch}`;
  return underWay ? `${where}; ${output.paint('warn', underWay)}` : where;
}

function describe({ problem, backup, alarms }: RegionFacts, output: Output): string {
  if (problem) return output.paint('bad', problem);
  const holds = backup
    ? `${backup.id}, ${humanBytes(backup.bytes)}, verified ${backup.verifiedAt}`
    : 'no verified backup';
  const on =
    alarms === undefined ? 'alarms unknown' : alarms.length === 0 ? 'no alarm' : `alarms: ${alarms.join(', ')}`;
  return `${holds}; ${alarms?.length ? output.paint('warn', on) : on}`;
}
