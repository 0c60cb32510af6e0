import { z } from 'zod';
import { awsBackupSchema } from './aws-backup-schema.ts';
import { databaseSchema } from './database-schema.ts';
import { formatDuration } from './duration.ts';
import { duration, matching, object, region } from './fields.ts';
import { networkSchema } from './network-schema.ts';
import { retentionSchema } from './retention-schema.ts';
import { startWindowMinutes } from './start-window.ts';
import { vaultSchema } from './vault-schema.ts';

/** pgdr.config.ts as a whole; docs/configuration.md explains every key. Every default is the safe one. */

// Names are limited by what AWS makes of them: bucket names (63 characters) and role names (64), see names.ts. The
// system's name has no dash, so that it ends at the first dash of every name and two systems never mix.
// SSM refuses parameters below /aws… and /ssm….
const systemName = matching(
  /^(?!aws|ssm)[a-z][a-z0-9]{1,15}$/,
  "2 to 16 lower-case letters and digits, a letter first, no dash; not beginning with 'aws' or 'ssm'",
  'acme',
);
const secretName = matching(
  /^(?!arn:)[A-Za-z0-9/_+=.@-]{1,200}$/,
  'the name of a Secrets Manager secret (letters, digits, /_+=.@-), not its ARN and never its value',
  'pgdr/slack',
);
const mailAddress = matching(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, 'an e-mail address', 'oncall@example.com');
const httpsUrl = matching(/^https:\/\/[^\s/]+(\/\S*)?$/, 'a URL that begins with https://', 'https://example.com/pgdr');
const tagText = matching(/^[^\n]{0,256}$/, 'text of up to 256 characters', 'platform-team');

export const configSchema = object({
  name: systemName,
  regions: object({ primary: region(), recovery: region() }),
  network: networkSchema.prefault({}),
  databases: z.array(databaseSchema, {
    error: (issue) =>
      ` is ${JSON.stringify(issue.input)}. Allowed: a list of databases. Example: [{ name: 'orders', … }]`,
  }),
  retention: retentionSchema.prefault({}),
  vault: vaultSchema.optional(),
  awsBackup: awsBackupSchema.optional(),
  // Absent: see start-window.ts.
  startWindow: z
    .literal(false)
    .transform(() => 0)
    .or(duration('1 minute', '1 hour', '30 minutes'))
    .optional(),
  notifications: object({
    slackWebhookSecret: secretName.optional(),
    email: z.array(mailAddress).default([]),
    https: z.array(httpsUrl).default([]),
    runbooks: httpsUrl.optional(),
  }).prefault({}),
  tags: z.record(z.string(), tagText).default({}),
}).superRefine((config, context) => {
  for (const [i, { logical, physical, objectives }] of config.databases.entries()) {
    const interval = logical.schedule.longestIntervalSeconds;
    const apart = interval + startWindowMinutes(config, interval) * 60;
    // The interval itself is what stands where nothing was asked for; nothing does where the database has a problem.
    if (physical || objectives.rpo === undefined || objectives.rpo === interval || objectives.rpo >= apart) continue;
    context.addIssue({
      code: 'custom',
      path: ['databases', i, 'objectives', 'rpo'],
      message:
        ` is ${formatDuration(objectives.rpo)}, but startWindow lets ${formatDuration(apart)} pass between two backups. ` +
        `Allowed: at least that, or startWindow: false. Example: '${formatDuration(apart)}'`,
    });
  }
  if (config.regions.primary === config.regions.recovery) {
    context.addIssue({
      code: 'custom',
      path: ['regions', 'recovery'],
      message: ` is '${config.regions.recovery}', the primary region. Allowed: another region, or its loss takes both. Example: 'us-east-1'`,
    });
  }
  const sealed = config.vault && config.databases.findIndex(({ logical }) => logical.clientEncryption);
  if (sealed !== undefined && sealed >= 0) {
    context.addIssue({
      code: 'custom',
      path: ['databases', sealed, 'logical', 'clientEncryption'],
      message:
        ' is true beside vault, but the key is of the account that the vault is to outlive: its copies could not be read. ' +
        'Allowed: one of the two. Example: false',
    });
  }
});

/** What an operator writes. */
export type ConfigInput = z.input<typeof configSchema>;
/** What the program gets: defaults filled in, durations in seconds. */
export type Config = z.output<typeof configSchema>;

/** Gives pgdr.config.ts its types; the values are checked when it is loaded. */
export const defineConfig = (config: ConfigInput): ConfigInput => config;

/** A configuration that cannot be used. `problems` has one sentence for each value at fault. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(summary: string, problems: readonly string[] = []) {
    super([summary, ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Throws {@link ConfigError} with every problem at once. */
export function parseConfig(value: unknown): Config {
  const result = configSchema.safeParse(value);
  const repeated = repeatedNames(value);
  if (result.success && repeated.length === 0) return result.data;
  const problems = (result.error?.issues ?? []).flatMap((issue) => {
    const path = issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
    // Unknown keys come as one issue of their object, with a line for each.
    return issue.message
      .split('\n')
      .map((line) => `${path}${line}`.replace(/^\./, '').replace(/^ /, 'the configuration '));
  });
  problems.push(...repeated);
  throw new ConfigError(
    `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:`,
    problems,
  );
}

/** Asked of what was written: zod compares entries with one another only when each of them is right. */
function repeatedNames(value: unknown): string[] {
  const { databases } = Object(value) as { databases?: unknown };
  const names = Array.isArray(databases) ? databases.map((entry) => Object(entry).name as unknown) : [];
  return names.flatMap((name, i) => {
    if (typeof name !== 'string' || names.indexOf(name) === i) return [];
    return [
      `databases[${i}].name is '${name}', which another database has. Allowed: a name of its own. Example: '${name}-2'`,
    ];
  });
}
