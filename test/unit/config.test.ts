import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../lib/config/duration.ts';
import * as names from '../../lib/config/names.ts';
import { longestInterval } from '../../lib/config/schedule.ts';
import { ConfigError, type ConfigInput, defineConfig, parseConfig } from '../../lib/config/schema.ts';

const minimal = defineConfig({
  name: 'acme',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: [{ name: 'orders', version: 17, primary: { secret: 'orders/primary' } }],
});

/** The minimal configuration with its database changed; typed loosely, as a file written by hand is. */
const withDatabase = (changes: object) => ({ ...minimal, databases: [{ ...minimal.databases[0], ...changes }] });

function problemsOf(config: unknown): readonly string[] {
  try {
    parseConfig(config);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('durations', () => {
  test.each([
    ['1 second', 1],
    ['90 seconds', 90],
    ['1 hour', 3600],
    ['2 weeks', 1_209_600],
    ['30 days', 2_592_000],
    ['7 years', 7 * 365 * 86_400],
  ])('%s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  test.each(['', '1', 'day', '0 days', '-1 days', '1.5 hours', '1  hour', '1 month', '1h', ' 1 hour', '1 Hour'])(
    'refuses "%s"',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  test('formatting and parsing are inverse', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds))).toBe(seconds);
      }),
    );
  });
});

describe('schedules', () => {
  const hour = 3600;
  test.each([
    ['cron(0 2 * * ? *)', 24 * hour],
    ['cron(0 * * * ? *)', hour],
    ['cron(0/15 * * * ? *)', hour / 4],
    ['cron(0 2,14 * * ? *)', 12 * hour],
    ['cron(0 3 ? * SUN *)', 7 * 24 * hour],
    ['cron(0 3 ? * 1 *)', 7 * 24 * hour],
    ['cron(0 3 ? * MON-FRI *)', 3 * 24 * hour],
    ['cron(0 3 ? * 2-6 *)', 3 * 24 * hour],
    ['cron(0 3 1 * ? *)', 31 * 24 * hour],
    ['cron(0 3 L * ? *)', 31 * 24 * hour],
    ['cron(0 3 ? * SUN#1 *)', 35 * 24 * hour],
    ['cron(* 9-17 ? * MON-FRI *)', 2 * 24 * hour + 15 * hour + 60],
    ['cron(0 3 1 1 ? *)', 366 * 24 * hour],
    ['rate(1 hour)', hour],
    ['rate(90 minutes)', 1.5 * hour],
    ['rate(2 days)', 48 * hour],
  ])('%s runs at least every %d s', (expression, seconds) => expect(longestInterval(expression)).toBe(seconds));

  test.each([
    ['0 2 * * *', /neither/],
    ['at(2026-01-01T00:00:00)', /neither/],
    ['cron(0 2 * * *)', /5 fields/],
    ['cron(0 2 * * * *)', /exactly one/],
    ['cron(0 2 ? * ? *)', /exactly one/],
    ['cron(61 2 * * ? *)', /61|minute/i],
    ['cron(0 2 * * ? 2020)', /one day or never/],
    ['rate(1 hours)', /singular/],
    ['rate(2 hour)', /singular/],
    ['rate(0 hours)', /at least 1/],
  ])('%s is refused', (expression, reason) => expect(() => longestInterval(expression)).toThrow(reason));
});

describe('defaults', () => {
  test('are the documented ones', () => {
    expect(parseConfig(minimal)).toEqual({
      ...minimal,
      network: {
        primary: { kind: 'made', cidr: '10.90.0.0/22' },
        recovery: { kind: 'made', cidr: '10.90.4.0/22' },
        databasePorts: [5432],
      },
      databases: [
        {
          name: 'orders',
          engine: 'postgres',
          version: 17,
          primary: { secret: 'orders/primary' },
          lineage: 'main',
          objectives: { rpo: 86_400, rto: 14_400 },
          logical: {
            schedule: { expression: 'cron(0 2 * * ? *)', longestIntervalSeconds: 86_400 },
            ownStreams: 16,
            concurrency: 3,
            zstdLevel: 1,
            reuseUnchangedFor: 604_800,
            lockTimeout: 60,
            clientEncryption: false,
            allowSkipped: [],
            exclude: { schemas: [], tables: [], rows: [] },
            schemaOnly: false,
            task: { vcpu: 2, memoryGiB: 4, storageGiB: 21, timeout: 21_600, heartbeatTimeout: 300 },
          },
          restore: {
            targets: [],
            task: { vcpu: 2, memoryGiB: 4, storageGiB: 21, timeout: 21_600, heartbeatTimeout: 300 },
          },
          retention: {},
          restoreTest: {
            schedule: { expression: 'cron(0 3 ? * SUN *)', longestIntervalSeconds: 604_800 },
            assertions: [],
            task: { vcpu: 4, memoryGiB: 8, storageGiB: 100, timeout: 21_600, heartbeatTimeout: 300 },
          },
        },
      ],
      retention: { daily: 2_592_000, monthly: 220_752_000, lock: { mode: 'GOVERNANCE', duration: 2_592_000 } },
      notifications: { email: [], https: [] },
      tags: {},
    });
  });

  test('an rpo follows the schedule when none is given', () => {
    const config = parseConfig(withDatabase({ logical: { schedule: 'cron(0 0/6 * * ? *)' } }));
    expect(config.databases[0]?.objectives.rpo).toBe(6 * 3600);
  });
});

describe('servers that restores may write to', () => {
  const problemsWith = (targets: unknown) => problemsOf(withDatabase({ restore: { targets } }));

  test('are named by their secret, with another major where it differs', () => {
    const config = parseConfig(withDatabase({ restore: { targets: [{ secret: 'a' }, { secret: 'b', version: 18 }] } }));
    expect(config.databases[0]?.restore.targets).toEqual([{ secret: 'a' }, { secret: 'b', version: 18 }]);
    expect(parseConfig(minimal).databases[0]?.restore.targets).toEqual([]);
  });

  test('are few and short enough for the settings of a task', () => {
    const [many] = problemsWith(['a', 'b', 'c', 'd'].map((secret) => ({ secret })));
    expect(many).toMatch(/restore\.targets are 4 servers.* Allowed: 3.* Example: /);
    const [long] = problemsWith([{ secret: 'x'.repeat(150) }, { secret: 'y'.repeat(51) }]);
    expect(long).toMatch(/201 bytes together\. Allowed: 3, with 200 bytes/);
    expect(problemsWith('orders/restore')[0]).toMatch(/restore\.targets is 'orders\/restore'\. Allowed: a list/);
  });
});

describe('assertions of a restore test', () => {
  const problemsWith = (assertions: unknown) => problemsOf(withDatabase({ restoreTest: { assertions } }));

  test('are statements of SQL', () => {
    const config = parseConfig(withDatabase({ restoreTest: { assertions: [' SELECT true\n'] } }));
    expect(config.databases[0]?.restoreTest.assertions).toEqual(['SELECT true']);
    expect(problemsWith([' '])).toEqual([
      expect.stringMatching(/^databases\[0\]\.restoreTest\.assertions\[0\] is ' '\. Allowed: one SQL statement/),
    ]);
    expect(problemsWith('SELECT true')[0]).toMatch(/Allowed: a list of SQL statements/);
  });

  test('are refused when a task could not be given them', () => {
    const [long] = problemsWith(['x'.repeat(1200), 'y'.repeat(1200)]);
    expect(long).toMatch(/assertions take 2,407 bytes together, .*\. Allowed: 2,000, .*\. Example: /);
    expect(problemsWith(['x'.repeat(1990)])).toEqual([]);
    expect(problemsWith(['ü'.repeat(1000)])).toHaveLength(1);
  });
});

describe('a start window', () => {
  const withWindow = (rpo: string, startWindow: unknown) =>
    problemsOf({ ...withDatabase({ objectives: { rpo } }), startWindow });

  test('is part of what may pass between two backups', () => {
    expect(withWindow('24 hours', '30 minutes')).toEqual([]);
    expect(withWindow('25 hours', '30 minutes')).toEqual([]);
    expect(withWindow('1450 minutes', '30 minutes')).toEqual([
      'databases[0].objectives.rpo is 1450 minutes, but startWindow lets 1470 minutes pass between two backups. ' +
        "Allowed: at least that, or startWindow: false. Example: '1470 minutes'",
    ]);
    expect(withWindow('1450 minutes', false)).toEqual([]);
  });
});

describe('the major of a restore test', () => {
  const withVersions = (version: number, of: unknown) =>
    problemsOf(withDatabase({ version, restoreTest: { version: of } }));

  test('is that of the database or a newer one', () => {
    expect(withVersions(17, 17)).toEqual([]);
    expect(withVersions(15, 18)).toEqual([]);
    expect(parseConfig(minimal).databases[0]?.restoreTest.version).toBeUndefined();
  });

  test('is refused when it is older, or no major', () => {
    expect(withVersions(17, 15)).toEqual([
      'databases[0].restoreTest.version is 15, but the database is PostgreSQL 17 and nothing is restored into an older ' +
        'major. Allowed: 17 or newer. Example: 17',
    ]);
    expect(withVersions(17, '18')).toEqual([
      "databases[0].restoreTest.version is '18'. Allowed: 13, 14, 15, 16, 17, 18. Example: 18",
    ]);
  });
});

describe('objectives that cannot be met', () => {
  test('an rpo shorter than the time between two backups is refused with the reason', () => {
    expect(problemsOf(withDatabase({ objectives: { rpo: '5 minutes' } }))).toEqual([
      'databases[0].objectives.rpo is 5 minutes, but logical.schedule lets 1 day pass between two backups and what was ' +
        'written since the last one is lost with the server. Allowed: at least that interval, a denser schedule, or ' +
        "physical: {}. Example: '1 day'",
    ]);
  });

  test('the longest gap counts, not the usual one', () => {
    const logical = { schedule: 'cron(0 2 ? * MON-FRI *)' };
    expect(problemsOf(withDatabase({ logical, objectives: { rpo: '1 day' } }))[0]).toMatch(/lets 3 days pass/);
    expect(problemsOf(withDatabase({ logical, objectives: { rpo: '3 days' } }))).toEqual([]);
  });
});

describe('physical backups', () => {
  const withPhysical = (physical: object, more: object = {}) => withDatabase({ physical, ...more });

  test('increments are for majors that have them', () => {
    const of = (version: number) => problemsOf(withPhysical({ base: { fullEvery: '7 days' } }, { version }));
    expect(() => parseConfig(withPhysical({ base: { fullEvery: '7 days' } }, { version: 17 }))).not.toThrow();
    expect(of(16)[0]).toContain('physical.base.fullEvery asks for incremental base backups, which PostgreSQL 16');
  });

  test('are off unless asked for, and have safe defaults', () => {
    expect(parseConfig(minimal).databases[0]?.physical).toBeUndefined();
    expect(parseConfig(withPhysical({})).databases[0]?.physical).toMatchObject({
      walChunkInterval: 5,
      walChunkMiB: 8,
      heartbeatInterval: 5,
      synchronous: false,
      pitrWindow: 7 * 86_400,
      base: { schedule: { expression: 'cron(0 1 ? * SUN *)' } },
      receiver: { vcpu: 0.5, memoryGiB: 1 },
    });
  });

  test('make an objective of seconds possible, down to what a chunk and its upload take', () => {
    const withRpo = (rpo: string, physical: object = {}) => problemsOf(withPhysical(physical, { objectives: { rpo } }));
    expect(withRpo('15 seconds')).toEqual([]);
    expect(withRpo('14 seconds')).toEqual([
      'databases[0].objectives.rpo is 14 seconds, but physical.walChunkInterval and an upload may take 15 seconds. ' +
        "Allowed: at least that, or a shorter interval. Example: '15 seconds'",
    ]);
    expect(withRpo('12 seconds', { walChunkInterval: '2 seconds' })).toEqual([]);
  });

  test.each(['rds', 'aurora'])('are refused for %s, which has its own', (engine) => {
    expect(problemsOf(withPhysical({}, { engine }))).toEqual([
      expect.stringMatching(
        /^databases\[0\]\.physical is given for engine '\w+', which refuses replication .* of its own/,
      ),
    ]);
  });

  test('take memory that Fargate offers, and names that PostgreSQL takes', () => {
    expect(problemsOf(withPhysical({ receiver: { vcpu: 0.25, memoryGiB: 4 } }))[0]).toMatch(
      /^databases\[0\]\.physical\.receiver\.memoryGiB is 4/,
    );
    expect(problemsOf(withPhysical({ slot: 'Pgdr' }))[0]).toMatch(/physical\.slot is 'Pgdr'\. Allowed: the name of/);
  });
});

describe('values that are refused', () => {
  test('are told together, a repeated name too', () => {
    const databases = [1, 2].map(() => ({ ...minimal.databases[0], version: 12 }));
    expect(problemsOf({ ...minimal, databases })).toEqual([
      expect.stringContaining('databases[0].version'),
      expect.stringContaining('databases[1].version'),
      expect.stringContaining("databases[1].name is 'orders', which another database has"),
    ]);
  });

  const cases: [what: string, config: unknown, problem: RegExp][] = [
    ['no configuration', undefined, /^the configuration is missing/],
    ['not an object', 5, /^the configuration is 5\. Allowed: an object with the keys name, regions/],
    ['a name that SSM keeps for itself', { ...minimal, name: 'awsbackup' }, /^name is 'awsbackup'\..*not beginning/],
    ['a name with a dash', { ...minimal, name: 'ac-me' }, /^name is 'ac-me'\..*no dash.*Example: 'acme'/],
    ['a name missing', { ...minimal, name: undefined }, /^name is missing/],
    [
      'a region that is none',
      { ...minimal, regions: { primary: 'north', recovery: 'us-east-1' } },
      /^regions\.primary is/,
    ],
    ['another partition', { ...minimal, regions: { primary: 'cn-north-1', recovery: 'us-east-1' } }, /commercial/],
    [
      'one region',
      { ...minimal, regions: { primary: 'us-east-1', recovery: 'us-east-1' } },
      /^regions\.recovery.*another/,
    ],
    ['databases as an object', { ...minimal, databases: {} }, /^databases is \{\}\. Allowed: a list/],
    [
      'two databases of one name',
      { ...minimal, databases: [minimal.databases[0], minimal.databases[0]] },
      /^databases\[1\]\.name/,
    ],
    [
      'the name of the platform',
      withDatabase({ name: 'platform' }),
      /^databases\[0\]\.name is 'platform'.*not 'platform'/,
    ],
    ['the name of the key stack', withDatabase({ name: 'keys' }), /^databases\[0\]\.name is 'keys'/],
    ['a long name', withDatabase({ name: 'a'.repeat(25) }), /^databases\[0\]\.name/],
    ['an old major', withDatabase({ version: 12 }), /^databases\[0\]\.version is 12\. Allowed: 13, 14.*Example: 17$/],
    ['a version as text', withDatabase({ version: '17' }), /version is '17'/],
    [
      'an unknown engine',
      withDatabase({ engine: 'mysql' }),
      /engine is 'mysql'\. Allowed: 'postgres', 'rds', 'aurora'/,
    ],
    ['no secret', withDatabase({ primary: {} }), /^databases\[0\]\.primary\.secret is missing/],
    ['the ARN of a secret', withDatabase({ primary: { secret: 'arn:aws:secretsmanager:x' } }), /not its ARN/],
    ['a URL as a secret', withDatabase({ primary: { secret: 'postgres://u:p@h/d' } }), /never its value/],
    [
      'a schedule in five fields',
      withDatabase({ logical: { schedule: 'cron(0 2 * * *)' } }),
      /5 fields.*Example: 'cron/,
    ],
    [
      'a duration without a unit',
      withDatabase({ logical: { lockTimeout: 60 } }),
      /lockTimeout is 60\. Allowed: a number and a unit/,
    ],
    [
      'encryption that leaves the WAL readable',
      withDatabase({ logical: { clientEncryption: true }, physical: {} }),
      /^databases\[0\]\.logical\.clientEncryption is true, but base backups and WAL/,
    ],
    [
      'a kind that nothing skips',
      withDatabase({ logical: { allowSkipped: ['tables'] } }),
      /^databases\[0\]\.logical\.allowSkipped\[0\]/,
    ],
    [
      'memory that Fargate lacks',
      withDatabase({ logical: { task: { vcpu: 8, memoryGiB: 18 } } }),
      /memoryGiB is 18.*in steps of 4/,
    ],
    [
      'heartbeats beyond the end',
      withDatabase({ logical: { task: { timeout: '2 minutes' } } }),
      /heartbeatTimeout is 5 minutes.*2 minutes/,
    ],
    [
      'half a day of lock',
      { ...minimal, retention: { lock: { duration: '36 hours' } } },
      /^retention\.lock\.duration.*whole days/,
    ],
    [
      'half a VPC',
      { ...minimal, network: { primary: { vpcId: 'vpc-0123abcd' } } },
      /^network\.primary has vpcId\. Allowed: cidr alone/,
    ],
    [
      'a bad id',
      { ...minimal, network: { primary: { vpcId: 'vpc-1', subnetIds: [] } } },
      /^network\.primary\.vpcId is 'vpc-1'/,
    ],
  ];
  test.each(cases)('%s', (_, config, problem) => {
    const problems = problemsOf(config);
    expect(problems).toEqual([expect.stringMatching(problem), ...problems.slice(1)]);
    for (const text of problems) expect(text).toMatch(/Allowed: .*\. Example: ./);
  });

  test('all of them at once', () => {
    expect(problemsOf({ name: 'A', regions: {}, databases: [{}] })).toHaveLength(6);
  });
});

describe('keys', () => {
  test('that are misspelt are named, with the likely one', () => {
    expect(problemsOf({ ...minimal, databses: [] })).toEqual([
      'databses is not a known key. Did you mean databases? Allowed: name, regions, network, databases, retention, vault, awsBackup, startWindow, notifications, tags',
    ]);
    expect(problemsOf(withDatabase({ logical: { zstdlevel: 3 } }))[0]).toMatch(
      /^databases\[0\]\.logical\.zstdlevel is not a known key\. Did you mean zstdLevel\?/,
    );
  });

  test('of later capabilities elsewhere are refused too', () => {
    expect(problemsOf({ ...minimal, retention: { pitr: '7 days' } })).toHaveLength(1);
    expect(problemsOf(withDatabase({ retention: { lock: {} } }))[0]).toMatch(/the lock stands in retention\.lock/);
  });
});

describe('names', () => {
  const system = 'a'.repeat(16);
  const database = 'b'.repeat(24);
  const region = 'ap-southeast-1';

  test('of the longest configuration fit into what AWS allows', () => {
    const longest: ConfigInput = {
      ...minimal,
      name: system,
      databases: [{ ...minimal.databases[0], name: database } as never],
    };
    expect(problemsOf(longest)).toEqual([]);
    expect(names.accessLogBucketName(system, '1'.repeat(12), region).length).toBeLessThanOrEqual(63);
    expect(names.backupBucketName(system, '1'.repeat(12), region).length).toBeLessThanOrEqual(63);
    for (const name of [
      names.taskRoleName(system, database, 'restore', region),
      names.executionRoleName(system, region),
      names.scheduleRoleName(system, region),
      names.functionName(system, 'confirm-verification'),
      names.scheduleName(system, database, 'backup-logical'),
      names.scheduleGroupName(system),
    ]) {
      expect(name.length).toBeLessThanOrEqual(64);
    }
    expect(names.stateMachineName(system, 'backup-logical').length).toBeLessThanOrEqual(80);
  });
});
