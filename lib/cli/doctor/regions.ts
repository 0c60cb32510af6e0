import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { SQSClient } from '@aws-sdk/client-sqs';
import { STSClient } from '@aws-sdk/client-sts';
import type { DatabaseConfig } from '../../config/database-schema.ts';
import {
  backupBucketName,
  notificationDeadLetterQueueName,
  physicalRestoreTest,
  physicalSettingsParameterName,
  scheduleDeadLetterQueueName,
  scheduleGroupName,
  scheduleName,
  settingsParameterName,
} from '../../config/names.ts';
import type { Config } from '../../config/schema.ts';
import { serverSecrets } from '../../config/server-secrets.ts';
import { judgeAccount, judgeBootstrap, judgeQuotas, judgeSecret } from '../../core/doctor/account.ts';
import { judgeBackup, judgeBucket, judgeQueue, judgeSchedule, judgeSettings } from '../../core/doctor/deployment.ts';
import { about, type Finding } from '../../core/doctor/finding.ts';
import { parsePhysicalSettings } from '../../core/physical-settings.ts';
import { type DatabaseSettings, parseSettings } from '../../core/settings.ts';
import { type ClientSettings, type Clients, createClients } from '../clients.ts';
import { listBackups } from '../commands/list.ts';
import * as read from './region-facts.ts';

/** The checks of the account and of both regions. */

export interface DoctorScope {
  readonly config: Config;
  readonly databases: readonly DatabaseConfig[];
  readonly beforeDeploy: boolean;
  /** Where the clients of a region go to, beside what the environment says. */
  readonly settingsOf: (region: string) => ClientSettings;
}

export interface RegionsExamined {
  readonly findings: Finding[];
  /** Texts of the databases' secrets in the primary region, by name. Never printed. */
  readonly secrets: ReadonlyMap<string, string>;
}

export async function examineRegions(scope: DoctorScope): Promise<RegionsExamined> {
  const { config, databases, beforeDeploy } = scope;
  const secrets = new Map<string, string>();
  const regions = [config.regions.primary, config.regions.recovery] as const;
  const opened = regions.map((region) => createClients(scope.settingsOf(region)));
  try {
    const sts = new STSClient(scope.settingsOf(regions[0]));
    const who = await read.readIdentity(sts);
    sts.destroy();
    if (!who.identity) return { findings: judgeAccount({ ...who, deployedAccount: undefined }), secrets };
    const { account } = who.identity;
    const findings: Finding[] = [];
    let deployedAccount: string | undefined;
    for (const clients of opened) {
      const here: Finding[] = [];
      const { region } = clients;
      const isPrimary = region === config.regions.primary;
      const attempt = attemptsOf(region, here);
      await attempt('bootstrap', async () =>
        here.push(judgeBootstrap({ region, account, version: await read.readBootstrap(clients), beforeDeploy })),
      );
      here.push(...judgeQuotas({ region, ...needsOf(databases) }));
      for (const { name, kind } of secretsOf(config, databases)) {
        await attempt(`secret ${name}`, async () => {
          const { facts, text } = await read.readSecretFacts(clients, name, kind, isPrimary);
          if (isPrimary && text !== undefined) secrets.set(name, text);
          here.push(judgeSecret(facts));
        });
      }
      if (!beforeDeploy) {
        const owner = await examineDeployment(scope, clients, account, isPrimary, here);
        deployedAccount ??= owner;
      }
      findings.push(...here);
    }
    return { findings: [...judgeAccount({ ...who, deployedAccount }), ...findings], secrets };
  } finally {
    for (const clients of opened) clients.close();
  }
}

/** Runs one look; what it throws is a finding, so that one denied call hides no other. */
const attemptsOf =
  (subject: string, findings: Finding[]) =>
  async (check: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const { name, message } = error as Error;
      findings.push(
        about(subject).failed(check, `could not be looked at: ${name}: ${message}`, 'aws sts get-caller-identity'),
      );
    }
  };

/** Gives the account that the deployed roles belong to. */
async function examineDeployment(
  { config, databases, settingsOf }: DoctorScope,
  clients: Clients,
  account: string,
  isPrimary: boolean,
  findings: Finding[],
): Promise<string | undefined> {
  const { region } = clients;
  const system = config.name;
  const { mode, duration } = config.retention.lock;
  const scheduler = new SchedulerClient(settingsOf(region));
  const sqs = new SQSClient(settingsOf(region));
  let owner: string | undefined;
  try {
    const platform = attemptsOf(region, findings);
    const bucket = backupBucketName(system, account, region);
    const wanted = { mode, days: duration / 86_400 };
    await platform('bucket', async () => findings.push(...judgeBucket(await read.readBucket(clients, bucket, wanted))));
    const queues = [
      scheduleDeadLetterQueueName(system),
      ...(config.notifications.slackWebhookSecret ? [notificationDeadLetterQueueName(system)] : []),
    ];
    for (const name of queues) {
      await platform(`queue ${name}`, async () =>
        findings.push(judgeQueue({ region, name, messages: await read.countMessages(sqs, name) })),
      );
    }
    for (const database of databases) {
      const { name } = database;
      const attempt = attemptsOf(`${name} in ${region}`, findings);
      let settings: DatabaseSettings | undefined;
      await attempt('settings', async () => {
        const text = await read.readParameter(clients, settingsParameterName(system, name));
        const compared = compareSettings(database, config, text, isPrimary ? 'primary' : 'recovery');
        settings = compared.settings;
        findings.push(judgeSettings({ database: name, region, ...compared }));
      });
      owner ??= settings?.backupRoleArn.split(':')[4];
      if (database.physical) {
        await attempt('settings of physical', async () => {
          const text = await read.readParameter(clients, physicalSettingsParameterName(system, name));
          if (text !== undefined) parsePhysicalSettings(JSON.parse(text));
          const state = text === undefined ? ('missing' as const) : ('right' as const);
          findings.push(judgeSettings({ database: name, region, state, detail: 'of physical: readable' }));
        });
      }
      for (const { starts, wanted: state } of schedulesOf(database, isPrimary)) {
        const schedule = scheduleName(system, name, starts);
        const group = scheduleGroupName(system);
        await attempt(`schedule ${schedule}`, async () => {
          const now = await read.readScheduleState(scheduler, group, schedule);
          findings.push(judgeSchedule({ database: name, region, name: schedule, group, state: now, wanted: state }));
        });
      }
      const deployed = settings;
      if (!deployed) continue;
      await attempt('last backup', async () => {
        const daily = (await listBackups(clients, deployed)).filter(({ adhoc }) => !adhoc);
        const [newest] = daily;
        const verified = daily.find(({ verifiedAt }) => verifiedAt !== null);
        findings.push(
          judgeBackup({
            database: name,
            region,
            newest: newest && { id: newest.id, verified: newest.verifiedAt !== null },
            verified: verified && {
              id: verified.id,
              ageSeconds: (Date.now() - Date.parse(verified.verifiedAt as string)) / 1000,
            },
            intervalSeconds: database.logical.schedule.longestIntervalSeconds,
          }),
        );
      });
    }
    return owner;
  } finally {
    scheduler.destroy();
    sqs.destroy();
  }
}

type SettingsState = { state: 'right' | 'missing' | 'invalid' | 'differs'; detail: string };

function compareSettings(
  database: DatabaseConfig,
  config: Config,
  text: string | undefined,
  role: 'primary' | 'recovery',
): SettingsState & { settings?: DatabaseSettings } {
  if (text === undefined) return { state: 'missing', detail: '' };
  let settings: DatabaseSettings;
  try {
    settings = parseSettings(JSON.parse(text));
  } catch (error) {
    return { state: 'invalid', detail: (error as Error).message };
  }
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['version', settings.version, database.version],
    ['lineage', settings.lineage, database.lineage],
    ['secret', settings.secret, serverSecrets(database, role).logical],
    ['lock.mode', settings.lock.mode, config.retention.lock.mode],
    ['lock.seconds', settings.lock.seconds, config.retention.lock.duration],
    ['objectives.rpo', settings.objectives.rpoSeconds, database.objectives.rpo],
    ['objectives.rto', settings.objectives.rtoSeconds, database.objectives.rto],
  ];
  const different = pairs.filter(([, deployed, configured]) => deployed !== configured);
  if (different.length === 0)
    return { state: 'right', detail: `schema ${settings.schemaVersion}, as configured`, settings };
  const detail = different.map(([what, is, wanted]) => `${what} is ${is}, configured ${wanted}`).join('; ');
  return { state: 'differs', detail, settings };
}

/** The schedules that stand and fall with where the writer is, and those that both regions keep. */
function schedulesOf(database: DatabaseConfig, isPrimary: boolean) {
  // Where the writer may move, both ask for it before each run.
  const own = isPrimary || database.failover ? ('ENABLED' as const) : ('DISABLED' as const);
  return [
    { starts: 'backup-logical', wanted: own },
    ...(database.physical ? [{ starts: 'backup-physical', wanted: own }] : []),
    { starts: 'restore-test', wanted: own },
    ...(database.physical ? [{ starts: physicalRestoreTest, wanted: own }] : []),
    { starts: 'retention', wanted: 'ENABLED' as const },
    { starts: 'publish-posture', wanted: 'ENABLED' as const },
    ...(database.standby ? [{ starts: 'probe-replication', wanted: 'ENABLED' as const }] : []),
  ];
}

/** What runs at once when every database's largest task does: the worst case, which start times spread. */
function needsOf(databases: readonly DatabaseConfig[]): { vcpu: number; functions: number } {
  let vcpu = 0;
  for (const { logical, restoreTest, restore, physical } of databases) {
    vcpu += Math.max(logical.task.vcpu, restoreTest.task.vcpu, restore.task.vcpu, physical?.base.task.vcpu ?? 0);
    vcpu += physical?.receiver.vcpu ?? 0;
  }
  // `Verify objects` of state-machines/backup-logical.asl.json runs ten at a time.
  return { vcpu, functions: databases.length * 10 };
}

function secretsOf(config: Config, databases: readonly DatabaseConfig[]) {
  const names = new Set<string>();
  for (const { primary, physical, restore, standby, failover } of databases) {
    names.add(primary.secret);
    if (failover) names.add(failover.secret);
    if (standby) names.add(standby.secret);
    if (standby?.backupSecret) names.add(standby.backupSecret);
    if (physical?.secret) names.add(physical.secret);
    for (const { secret } of restore.targets) names.add(secret);
  }
  const slack = config.notifications.slackWebhookSecret;
  return [
    ...[...names].map((name) => ({ name, kind: 'database' as const })),
    ...(slack ? [{ name: slack, kind: 'slack' as const }] : []),
  ];
}
