import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import { standardPrices } from '../../core/prices.ts';
import { createClients } from '../clients.ts';
import { type ExitCode, exitCode } from '../errors.ts';
import { sharedLines } from '../measured.ts';
import { createOutput } from '../output.ts';
import { stateDirectory } from '../rehearse/assembly.ts';
import { type ReportData, readReportData } from '../report/data.ts';
import { reportPage } from '../report/page.ts';
import { chosen, statusOf } from './status.ts';

export interface ReportOptions {
  readonly json?: boolean;
  readonly region?: string;
  readonly output?: string;
}

/** `pgdr report [database]`: one HTML page that stands alone, from whatever region is left. */
export async function report(name: string | undefined, options: ReportOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const config = await loadConfig();
  const databases = chosen(config, name);
  const now = new Date();
  const statuses = await statusOf(config, databases, options.region, now);
  const data: ReportData[] = [];
  for (const [i, status] of statuses.entries()) {
    const database = databases[i];
    if (!database) continue;
    // From the region that could restore best; one that cannot be asked has nothing to show.
    const region = status.region ?? config.regions.primary;
    const clients = createClients({ region });
    try {
      data.push(await readReportData(clients, config, database, status));
    } finally {
      clients.close();
    }
  }
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const path = resolve(options.output ?? join(stateDirectory, 'reports', `report-${stamp}.html`));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, reportPage(config.name, now, data, sharedLines(config, standardPrices)));
  output.result(
    { schemaVersion: 1, path, databases: statuses.map(({ database, recoverable }) => ({ database, recoverable })) },
    () => `Report: ${path}`,
  );
  return exitCode.done;
}
