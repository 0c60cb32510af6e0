import { readFile } from 'node:fs/promises';
import { type CostLine, type Measured, totalOf } from '../../core/cost.ts';
import { humanBytes } from '../../core/human.ts';
import { type Prices, parsePrices, standardPrices } from '../../core/prices.ts';
import { fromAnyRegion } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { type ExitCode, exitCode } from '../errors.ts';
import { costLines, type Forecast, forecastOf, measuredOf, measuredWal, sharedLines } from '../measured.ts';
import { createOutput, formatTable } from '../output.ts';
import { readTests } from '../region-facts.ts';
import { listBackups } from './list.ts';
import { chosen } from './status.ts';

const forecastDays = 90;

export interface CostOptions {
  readonly json?: boolean;
  readonly region?: string;
  readonly prices?: string;
}

/** `pgdr cost [database]`: what a month costs, by database and shared, from the configuration and measured sizes. */
export async function cost(name: string | undefined, options: CostOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const prices = await readPrices(options.prices);
  return fromAnyRegion(options.region, async ({ config, clients }) => {
    const databases: {
      database: string;
      monthUsd: number | null;
      lines: readonly CostLine[];
      forecast: Forecast | null;
    }[] = [];
    for (const database of chosen(config, name)) {
      const settings = await readSettings(clients, config.name, database.name);
      const backups = await listBackups(clients, settings);
      const logical = measuredOf(backups, await readTests(clients, settings));
      const measured = logical && { ...logical, ...(database.physical && (await measuredWal(clients, settings))) };
      const linesOf = (of: Measured) => costLines(config, database, of, prices);
      const lines = measured ? linesOf(measured) : [];
      const forecast = measured ? forecastOf(backups, measured, forecastDays, linesOf) : null;
      databases.push({ database: database.name, monthUsd: measured ? totalOf(lines) : null, lines, forecast });
    }
    const shared = sharedLines(config, prices);
    const { region, asOf, source } = prices;
    output.result(
      {
        schemaVersion: 1,
        prices: { region, asOf, source },
        databases,
        shared: { monthUsd: totalOf(shared), lines: shared },
      },
      () =>
        [
          ...databases.map(({ database, lines, forecast }) =>
            forecast
              ? `${render(database, lines)}\n${words(forecast)}`
              : `${database}: nothing to measure yet, take a backup first`,
          ),
          render('Shared by all databases', shared),
          `Prices of ${region}, ${asOf}, without tax, free tiers and discounts. Others: --prices file.json`,
        ].join('\n\n'),
    );
    return exitCode.done;
  });
}

const words = ({ days, backupBytes, monthUsd }: Forecast): string =>
  `In ${days} days, growing as lately: backups of ${humanBytes(Math.round(backupBytes))}, ${monthUsd.toFixed(2)} USD a month.`;

const readPrices = async (file: string | undefined): Promise<Prices> =>
  file === undefined ? standardPrices : parsePrices(await readFile(file, 'utf8'), file);

const render = (title: string, lines: readonly CostLine[]): string =>
  formatTable(
    [title, '', 'USD a month'],
    [...lines.map(({ item, detail, usd }) => [item, detail, usd.toFixed(2)]), ['Sum', '', totalOf(lines).toFixed(2)]],
    [2],
  );
