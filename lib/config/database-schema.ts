import { z } from 'zod';
import { patternParts, problemOf } from '../core/selection.ts';
import { formatDuration } from './duration.ts';
import { endpointSchema, failoverSchema, standbySchema } from './failover-schema.ts';
import { boolean, duration, field, integer, matching, object, oneOf, schedule, show } from './fields.ts';
import { secretName } from './names-schema.ts';
import { physicalSchema, walUploadMargin } from './physical-schema.ts';
import { databaseRetentionSchema } from './retention-schema.ts';
import { task } from './task-schema.ts';

/** One entry of `databases` in pgdr.config.ts. */

const majors = [13, 14, 15, 16, 17, 18] as const;

const minute = 60;
const hour = 3600;

const databaseName = matching(
  /^(?!(platform|keys)$)[a-z]([a-z0-9-]{0,22}[a-z0-9])?$/,
  "1 to 24 lower-case letters, digits and inner dashes, a letter first; not 'platform' or 'keys'",
  'orders',
);
const lineageName = matching(
  /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
  '1 to 40 lower-case letters, digits and inner dashes',
  'main',
);

/** Names of PostgreSQL's own objects: it cuts longer ones short. */
const isIdentifier = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 63 && !value.includes('\0');

/** Databases of the server; the one that the secret names unless others are said. */
const serverDatabases = field<'all' | string[], 'all' | string[]>(
  "'all', or a list of databases of the server, each once",
  "['shop', 'billing']",
  (value) => {
    if (value === 'all') return value;
    if (!Array.isArray(value) || value.length === 0 || new Set(value).size < value.length) return undefined;
    return value.every(isIdentifier) ? value : undefined;
  },
);

const patterns = (parts: 1 | 2, example: string) =>
  field<string[], string[]>(
    `a list of patterns ${parts === 1 ? 'schema' : 'schema.table'}, in which * is any characters and ? any one`,
    `['${example}']`,
    (value) =>
      Array.isArray(value) && value.every((text) => typeof text === 'string' && patternParts(text)?.length === parts)
        ? value
        : undefined,
  ).prefault([]);

const logical = object({
  schedule: schedule('cron(0 2 * * ? *)').prefault('cron(0 2 * * ? *)'),
  databases: serverDatabases.optional(),
  include: object({ schemas: patterns(1, 'sales*'), tables: patterns(2, 'public.orders') }).optional(),
  exclude: object({
    schemas: patterns(1, 'etl_*'),
    tables: patterns(2, 'public.audit_*'),
    rows: patterns(2, 'public.sessions'),
  }).prefault({}),
  schemaOnly: boolean().default(false),
  ownStreams: integer(0, 100, 16).default(16),
  concurrency: integer(1, 16, 3).default(3),
  zstdLevel: integer(1, 19, 1).default(1),
  lockTimeout: duration('1 second', '1 hour', '1 minute').default(minute),
  // false stores every table in every backup.
  reuseUnchangedFor: z
    .literal(false)
    .transform(() => 0)
    .or(duration('1 day', '30 days', '7 days'))
    .default(7 * 24 * hour),
  // Encrypts before anything is stored, with a key of its own beside the bucket's: docs/encryption.md.
  clientEncryption: boolean().default(false),
  // The kinds that lib/postgres/preflight.ts refuses to leave out unasked.
  allowSkipped: z.array(oneOf(['row-security', 'subscription'], 'row-security')).default([]),
  task: task({ vcpu: 2, memoryGiB: 4, storageGiB: 21 }).prefault({}),
}).superRefine(({ include, exclude, schemaOnly }, context) => {
  const problem = problemOf({ include: include ?? null, exclude, schemaOnly });
  if (problem === undefined) return;
  context.addIssue({
    code: 'custom',
    path: ['include'],
    message: `: ${problem}. Allowed: at least one pattern. Example: { schemas: ['sales*'] }`,
  });
});

// The settings of a database are one SSM parameter of 4 KB, and travel inside the 8,192 characters of a task's overrides.
const assertionsBytes = 2000;

type Assertion = string | { database: string; sql: string };

/** Asked of every database of the backup, or of one alone. */
const assertion = field<Assertion, Assertion>(
  'one SQL statement that gives one row with one boolean, or { database, sql }',
  "'SELECT count(*) > 0 FROM orders'",
  (value) => {
    const isSql = (sql: unknown): sql is string => typeof sql === 'string' && /\S/.test(sql);
    if (isSql(value)) return value.trim();
    const { database, sql, ...rest } = Object(value) as Partial<Record<string, unknown>>;
    if (!isIdentifier(database) || !isSql(sql) || Object.keys(rest).length > 0) return undefined;
    return { database, sql: sql.trim() };
  },
);

const assertions = z
  .array(assertion, {
    error: (issue) =>
      ` is ${show(issue.input)}. Allowed: a list of SQL statements. Example: ['SELECT count(*) > 0 FROM orders']`,
  })
  .superRefine((statements, context) => {
    const bytes = Buffer.byteLength(JSON.stringify(statements));
    if (bytes <= assertionsBytes) return;
    context.addIssue({
      code: 'custom',
      message:
        ` take ${bytes.toLocaleString('en')} bytes together, written as JSON. Allowed: ${assertionsBytes.toLocaleString('en')}, ` +
        'which is what a task can be given. Example: a function in the database that returns boolean, and here ' +
        "['SELECT is_sound()']",
    });
  });

const restoreTest = object({
  schedule: schedule('cron(0 3 ? * SUN *)').prefault('cron(0 3 ? * SUN *)'),
  // The database's own major unless another is said.
  version: oneOf(majors, 18).optional(),
  assertions: assertions.default([]),
  // The whole database is restored onto the task's own disk.
  task: task({ vcpu: 4, memoryGiB: 8, storageGiB: 100 }).prefault({}),
});

/** What the parameter of the settings has room for beside the assertions. */
const mostTargets = 3;
const targetNamesBytes = 200;

const restore = object({
  targets: z
    .array(object({ secret: secretName, version: oneOf(majors, 17).optional() }), {
      error: (issue) =>
        ` is ${show(issue.input)}. Allowed: a list of servers that restores may write to. Example: [{ secret: 'orders/restore' }]`,
    })
    .superRefine((targets, context) => {
      const bytes = targets.reduce((sum, { secret }) => sum + Buffer.byteLength(secret ?? ''), 0);
      if (targets.length <= mostTargets && bytes <= targetNamesBytes) return;
      context.addIssue({
        code: 'custom',
        message:
          ` are ${targets.length} servers, their secrets' names ${bytes} bytes together. Allowed: ${mostTargets}, with ` +
          `${targetNamesBytes} bytes, which is what a task can be given. Example: [{ secret: 'orders/restore' }]`,
      });
    })
    .default([]),
  // Nothing of the data touches its disk.
  task: task({ vcpu: 2, memoryGiB: 4, storageGiB: 21 }).prefault({}),
});

export const databaseSchema = object({
  name: databaseName,
  engine: oneOf(['postgres', 'rds', 'aurora'], 'postgres').default('postgres'),
  version: oneOf(majors, 17),
  primary: object({ secret: secretName }),
  lineage: lineageName.default('main'),
  objectives: object({
    rpo: duration('1 second', '1 year', '24 hours').optional(),
    rto: duration('1 second', '1 year', '4 hours').default(4 * hour),
  }).prefault({}),
  logical: logical.prefault({}),
  restoreTest: restoreTest.prefault({}),
  restore: restore.prefault({}),
  retention: databaseRetentionSchema.prefault({}),
  physical: physicalSchema.optional(),
  standby: standbySchema.optional(),
  endpoint: endpointSchema.optional(),
  failover: failoverSchema.optional(),
}).transform((database, context) => {
  const { engine, physical } = database;
  if (physical && engine !== 'postgres') {
    context.issues.push({
      code: 'custom',
      input: engine,
      path: ['physical'],
      message:
        ` is given for engine '${engine}', which refuses replication connections. Allowed: with engine 'postgres' alone; ` +
        `${engine === 'rds' ? 'RDS' : 'Aurora'} has point-in-time recovery of its own (its automated backups). Remove it`,
    });
    return z.NEVER;
  }
  if (physical?.base.fullEvery !== undefined && database.version < 17) {
    context.issues.push({
      code: 'custom',
      input: physical.base.fullEvery,
      path: ['physical', 'base', 'fullEvery'],
      message:
        ` asks for incremental base backups, which PostgreSQL ${database.version} does not have. ` +
        'Allowed: with version 17 and newer. Example: remove it, and every base backup is a full one',
    });
    return z.NEVER;
  }
  if (physical && database.logical.clientEncryption) {
    context.issues.push({
      code: 'custom',
      input: true,
      path: ['logical', 'clientEncryption'],
      message:
        ' is true, but base backups and WAL are stored with the encryption of the bucket alone, and hold the same rows. ' +
        'Allowed: true without physical, or false. Example: false',
    });
    return z.NEVER;
  }
  const interval = database.logical.schedule.longestIntervalSeconds;
  const rpo = database.objectives.rpo ?? interval;
  const leastRpo = physical ? Math.min(interval, physical.walChunkInterval + walUploadMargin) : interval;
  if (rpo < leastRpo) {
    const why = physical
      ? `but physical.walChunkInterval and an upload may take ${formatDuration(leastRpo)}. Allowed: at least that, or a ` +
        'shorter interval'
      : `but logical.schedule lets ${formatDuration(interval)} pass between two backups and what was written since the ` +
        'last one is lost with the server. Allowed: at least that interval, a denser schedule, or physical: {}';
    context.issues.push({
      code: 'custom',
      input: rpo,
      path: ['objectives', 'rpo'],
      message: ` is ${formatDuration(rpo)}, ${why}. Example: '${formatDuration(leastRpo)}'`,
    });
    return z.NEVER;
  }
  const missing = missingForFailover(database);
  if (missing !== undefined) {
    context.issues.push({ code: 'custom', input: undefined, path: [missing.key], message: missing.message });
    return z.NEVER;
  }
  const { version } = database;
  const restoreVersion = database.restoreTest.version ?? version;
  if (restoreVersion < version) {
    context.issues.push({
      code: 'custom',
      input: restoreVersion,
      path: ['restoreTest', 'version'],
      message:
        ` is ${restoreVersion}, but the database is PostgreSQL ${version} and nothing is restored into an older major. ` +
        `Allowed: ${version} or newer. Example: ${version}`,
    });
    return z.NEVER;
  }
  return { ...database, objectives: { rpo, rto: database.objectives.rto } };
});

/** A failover needs all three of its keys: half of them would look like protection. */
function missingForFailover(database: { standby?: unknown; endpoint?: unknown; failover?: unknown; engine: string }) {
  const examples = {
    standby: "{ secret: 'orders/standby' }",
    endpoint: "{ zone: 'db.internal', name: 'orders', … }",
    failover: "{ secret: 'orders/control', primary: { kind: 'ecs', cluster: 'databases', service: 'orders-1' } }",
  };
  const keys = ['standby', 'endpoint', 'failover'] as const;
  const present = keys.filter((key) => database[key] !== undefined);
  if (present.length > 0 && database.engine !== 'postgres') {
    const message = ` is set, but failovers are for servers of your own. Allowed: with engine 'postgres'. Example: engine: 'postgres'`;
    return { key: present[0] as string, message };
  }
  const key = keys.find((candidate) => database[candidate] === undefined);
  if (present.length === 0 || key === undefined) return undefined;
  const message = ` is missing, though ${present.join(' and ')} ${present.length > 1 ? 'are' : 'is'} set. Allowed: standby, endpoint and failover together, or none of them. Example: ${examples[key]}`;
  return { key, message };
}

export type DatabaseConfig = z.output<typeof databaseSchema>;
