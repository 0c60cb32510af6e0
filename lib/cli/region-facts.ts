import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { readPosture } from '../aws/posture-facts.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { alarmName } from '../config/names.ts';
import { logicalPrefix, manifestKey } from '../core/keys.ts';
import { parseManifest, takenAt } from '../core/manifest.ts';
import type { ProofReport } from '../core/proof.ts';
import type { RegionFacts, RestoreTestFact } from '../core/recoverability.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import type { Clients } from './clients.ts';
import { readSettings } from './deployed.ts';
import { listKeys, proofsPrefix, readObject } from './evidence.ts';
import { readWindow } from './recoverable-window.ts';

/** A region that may be lost gets this long; then the others answer without it. */
const patience = 15_000;
const testsLookedAt = 5;

/** What one region knows of a database. Never throws: a region that does not answer says so in `problem`. */
export async function readRegionFacts(
  clients: Clients,
  system: string,
  database: DatabaseConfig,
): Promise<RegionFacts> {
  const { region } = clients;
  try {
    return await within(patience, read(clients, system, database));
  } catch (error) {
    return { region, problem: `${region} does not answer: ${(error as Error).message || (error as Error).name}` };
  }
}

async function read(clients: Clients, system: string, { name, physical }: DatabaseConfig): Promise<RegionFacts> {
  const { region } = clients;
  const settings = await readSettings(clients, system, name);
  const store = { s3: clients.s3, bucket: settings.bucket };
  const { backups } = await readPosture(store, settings, new Date());
  const newest = backups.at(-1);
  const manifest =
    newest && (await readObject(clients, settings.bucket, manifestKey(`${logicalPrefix(settings)}${newest.id}/`)));
  const tests = await readTests(clients, settings);
  const ranges = physical ? await readWindow(clients, settings) : [];
  const window = ranges.flatMap(({ from, to }) => (from.at && to.at ? [{ from: from.at, to: to.at }] : []));
  return {
    region,
    ...(physical && { window }),
    ...(newest &&
      manifest !== undefined && {
        backup: {
          id: newest.id,
          takenAt: takenAt(parseManifest(manifest, newest.id)),
          verifiedAt: newest.verifiedAt,
          bytes: newest.bytes,
        },
      }),
    lastTest: tests[0],
    proof: tests.find(({ holds }) => holds),
    alarms: await alarmsOn(clients, system, name),
  };
}

/** Newest first. */
export async function readTests(
  clients: Clients,
  settings: DatabaseSettings,
  most = testsLookedAt,
): Promise<RestoreTestFact[]> {
  const keys = (await listKeys(clients, settings.bucket, proofsPrefix(settings))).filter((key) =>
    key.endsWith('.json'),
  );
  const facts: RestoreTestFact[] = [];
  for (const key of keys.slice(-most).reverse()) {
    const text = await readObject(clients, settings.bucket, key);
    if (text === undefined) continue;
    const { id, backupId, startedAt, holds, level, rtoSeconds, rpoSeconds } = JSON.parse(text) as ProofReport;
    facts.push({ id, backupId, at: startedAt, holds, level, rtoSeconds, rpoSeconds });
  }
  return facts;
}

async function alarmsOn(clients: Clients, system: string, database: string): Promise<string[] | undefined> {
  try {
    const prefixes = [alarmName(system, database, ''), alarmName(system, undefined, '')];
    const found = await Promise.all(
      prefixes.map((AlarmNamePrefix) =>
        clients.cloudwatch.send(new DescribeAlarmsCommand({ AlarmNamePrefix, StateValue: 'ALARM', MaxRecords: 100 })),
      ),
    );
    return found.flatMap(({ MetricAlarms }) =>
      (MetricAlarms ?? [])
        .filter(({ ActionsEnabled }) => ActionsEnabled !== false)
        .map(({ AlarmName }) => AlarmName ?? ''),
    );
  } catch {
    return undefined;
  }
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
