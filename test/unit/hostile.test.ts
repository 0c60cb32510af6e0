import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAnyManifest } from '../../lib/core/any-manifest.ts';
import { shellWord } from '../../lib/core/doctor/finding.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { parseWalKey } from '../../lib/core/keys.ts';
import { backupBytes, countTables, parseManifest, takenAt } from '../../lib/core/manifest.ts';
import type { Outcome } from '../../lib/core/outcome.ts';
import { newDatabaseName, parseRestoreRequest } from '../../lib/core/restore-request.ts';
import { parseSettings } from '../../lib/core/settings.ts';
import { slackAlarm } from '../../lib/core/slack-alarm.ts';
import { slackMessage } from '../../lib/core/slack-message.ts';
import { limits } from '../../lib/core/slack-text.ts';
import { planBatches } from '../../lib/core/verification.ts';
import { catchUpStatements, sequenceStatements } from '../../tasks/restore-rest.ts';
import { sampleDatabase, sampleManifest, sampleObject, sampleRecord } from './sample-manifest.ts';

/** What comes from outside ends in a value that is right, or in an error of the catalogue; never in another one. */

const key = 'acme/orders/main/logical/20261121T020000Z-4f2a9c/manifest.json';
const physicalKey = key.replace('/logical/', '/base/');
const own = (name: string) => sampleObject(`acme/orders/main/logical/20261121T020000Z-4f2a9c/${name}`, [5, 3]);
const logical = sampleManifest({ objects: [own('1/main.dump.zst')] });
const physical = {
  ...{ schemaVersion: 1, kind: 'physical', id: logical.id, parentId: null, system: 'acme', database: 'orders' },
  ...{ lineage: 'main', systemIdentifier: '77', serverVersionNum: 170010, timeline: 1 },
  ...{ startLsn: '0/2000028', stopLsn: '0/2000100', startedAt: '2026-11-21T02:00:00Z' },
  ...{ stoppedAt: '2026-11-21T02:01:00Z', oldestRunningXid: '740', walSegmentBytes: 16_777_216 },
  ...{ dataChecksums: true, tablespaces: [{ oid: '16400', location: '/ts' }], databases: [], superusers: ['postgres'] },
  ...{ limits: { max_connections: 100 }, preloadLibraries: '', lockUntil: null },
  objects: [own('base.tar.zst'), own('backup_manifest')].map((object) => ({ ...object, role: 'base' })),
};

/** Strings that have broken something somewhere, and any others. */
const nasty = fc.oneof(
  fc.constantFrom(
    `'; DROP TABLE orders; --`,
    `a"."b; DROP TABLE x`,
    '$(touch /tmp/owned)',
    '`id`',
    "{% $eval('1') %}",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's placeholder, as an attacker would write it
    '${AWS::AccountId}',
    '../../../etc/passwd',
    'line\nbreak\r\n',
    '\u0000',
    '\uD800',
    '\u202Eesrever',
    '𐍈'.repeat(16),
    '__proto__',
    'constructor',
    '<!channel>',
    '-'.repeat(64),
    '9999-99-99T99:99:99Z',
    'FFFFFFFFF/0',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
const anything = fc.oneof(
  nasty,
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constant([]),
  fc.constant({}),
  fc.bigInt().map(String),
  fc.json().map((text) => JSON.parse(text) as unknown),
);

/** Every place in a JSON value, as paths. */
const places = (value: unknown, path: readonly (string | number)[] = []): (string | number)[][] =>
  typeof value !== 'object' || value === null
    ? [[...path]]
    : [[...path], ...Object.entries(value).flatMap(([name, inner]) => places(inner, [...path, name]))];

/** A copy with one place replaced, removed, or given a neighbour. */
function altered(value: unknown, path: readonly (string | number)[], how: 'set' | 'remove' | 'add', by: unknown) {
  if (path.length === 0) return how === 'set' ? by : value;
  const copy = structuredClone(value) as Record<string, never>;
  const parent = path.slice(0, -1).reduce<Record<string, never>>((at, name) => at[name] as never, copy);
  const last = path.at(-1) as string;
  if (how === 'remove') delete parent[last];
  else parent[how === 'add' ? `${last}x` : last] = by as never;
  return copy;
}

const alteration = (value: unknown) =>
  fc
    .tuple(fc.constantFrom(...places(value)), fc.constantFrom('set', 'remove', 'add'), anything)
    .map(([path, how, by]) => altered(value, path, how as 'set', by));

describe('a manifest that was altered by hand', () => {
  for (const [kind, manifest, at] of [
    ['logical', logical, key],
    ['physical', physical, physicalKey],
  ] as const) {
    it(`of a ${kind} backup is refused, or is one that says what it says`, () => {
      fc.assert(
        fc.property(alteration(manifest), (value) => {
          const text = JSON.stringify(value);
          let parsed: ReturnType<typeof parseAnyManifest>;
          try {
            parsed = parseAnyManifest(text, at);
          } catch (error) {
            expect(error).toBeInstanceOf(PgdrError);
            expect((error as PgdrError).name).toBe('ManifestInvalid');
            return;
          }
          // What is not known of is left out; everything else is as it was written.
          expect(parseAnyManifest(JSON.stringify(parsed), at)).toEqual(parsed);
          expect(JSON.parse(text)).toMatchObject(JSON.parse(JSON.stringify(parsed)));
          // And what is made of it does not stumble.
          expect(Number.isFinite(backupBytes(parsed))).toBe(true);
          planBatches(parsed, at);
          if (parsed.kind === 'logical') {
            expect(new Date(takenAt(parsed)).toISOString()).toBeTruthy();
            countTables(parsed);
          }
        }),
        { numRuns: 2000 },
      );
    });
  }

  it('of any text at all is refused', () => {
    fc.assert(
      fc.property(fc.oneof(nasty, fc.json()), (text) => {
        expect(() => parseAnyManifest(text, key)).toThrow(expect.objectContaining({ name: 'ManifestInvalid' }));
      }),
      { numRuns: 300 },
    );
  });

  it('cannot carry SQL in the place of a name', () => {
    const relation = 'public.a; DROP TABLE orders';
    const tries = [
      { materializedViews: [{ relation, populated: true }] },
      { tables: [{ ...sampleRecord().tables[0], relation }] },
      { sequences: [{ ...sampleRecord().sequences[0], sequence: relation }] },
      { sequences: [{ ...sampleRecord().sequences[0], lastValue: '1); DROP TABLE orders' }] },
    ];
    for (const change of tries) {
      const manifest = { ...logical, databases: [{ ...sampleRecord(), ...change }] };
      expect(() => parseManifest(JSON.stringify(manifest), key)).toThrow(/relation|sequence|lastValue/);
    }
    const odd = { ...sampleRecord(), tables: [{ ...sampleRecord().tables[0], relation: '"a.""b;"."日本\n"' }] };
    expect(parseManifest(JSON.stringify({ ...logical, databases: [odd] }), key)).toMatchObject({ id: logical.id });
  });

  it('is not believed below another backup, nor about objects of another database', () => {
    const text = JSON.stringify(logical);
    for (const elsewhere of [
      key.replace('4f2a9c', '000000'),
      key.replace('/orders/', '/billing/'),
      key.replace('/main/', '/other/'),
    ])
      expect(() => parseManifest(text, elsewhere)).toThrow(/is the manifest of backup/);
    const foreign = { ...logical, objects: [{ ...own('x'), key: 'acme/billing/main/logical/x/1/main.dump.zst' }] };
    expect(() => parseManifest(JSON.stringify(foreign), key)).toThrow(/not of this database/);
  });
});

it('a request of any kind ends in RequestInvalid, or is one', () => {
  const request = { tables: ['public.a'], toDatabase: 'b', backupId: 'c', schemas: [], overwrite: null };
  fc.assert(
    fc.property(fc.oneof(alteration(request), anything), (value) => {
      try {
        const parsed = parseRestoreRequest(value);
        expect(Buffer.byteLength(parsed.toDatabase ?? '')).toBeLessThanOrEqual(63);
      } catch (error) {
        expect((error as PgdrError).name).toBe('RequestInvalid');
      }
    }),
    { numRuns: 500 },
  );
  expect(() => parseRestoreRequest({ tables: ['public.x'.repeat(1000)] })).toThrow(/too much/);
});

it('settings of any kind end in SettingsInvalid, or are some', () => {
  fc.assert(
    fc.property(anything, (value) => {
      expect(() => parseSettings(value)).toThrow(expect.objectContaining({ name: 'SettingsInvalid' }));
    }),
  );
});

it('a name for a new database fits into 63 bytes and is a whole text, whatever the old one was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }), (name) => {
      const made = newDatabaseName(name, new Date('2026-11-21T02:00:00Z'));
      expect(Buffer.byteLength(made)).toBeLessThanOrEqual(63);
      expect(made).toMatch(/_restored_20261121_020000$/);
    }),
  );
});

it('a key of an object is one of ours or none', () => {
  fc.assert(
    fc.property(fc.oneof(nasty, fc.string({ unit: fc.constantFrom(...'/walparts0123456789ABCDEF-.zst') })), (text) => {
      const found = parseWalKey(`acme/orders/main/wal/${text}`);
      if (found?.kind === 'part') expect(found.start < found.end).toBe(true);
    }),
    { numRuns: 500 },
  );
});

it('statements made of a manifest keep names inside their quotes', () => {
  const sequence = `"a'b"."c""d"`;
  const manifest = sampleDatabase({ sequences: [{ sequence, lastValue: '3', isCalled: true, direction: 'up' }] });
  const keys = { has: () => true } as unknown as ReadonlySet<string>;
  expect(sequenceStatements(manifest, keys)).toEqual([`SELECT pg_catalog.setval('"a''b"."c""d"', 3, true)`]);
  const [catchUp] = catchUpStatements([{ sequence, table: 'public.t', column: '"x;y"', ascending: true }], keys);
  expect(catchUp).toContain(`'"a''b"."c""d"'`);
});

describe('Slack', () => {
  const outcome = (text: string): Outcome => ({
    ...{ schemaVersion: 1, workflow: 'backup-logical', database: text, ok: false },
    ...{ startedAt: '2026-11-21T02:00:00Z', endedAt: '2026-11-21T02:00:09Z', durationSeconds: 9 },
    ...{ region: 'eu-north-1', executionArn: 'arn', executionUrl: 'https://console.example/e' },
    objectives: { rpoSeconds: 1, rtoSeconds: 1 },
    failure: { step: text, error: 'DumpFailed', message: text, intact: text, tryNext: text, runbook: text },
  });

  const check = (message: { text: string; blocks: readonly Record<string, unknown>[] }) => {
    const texts: { type: string; text: string }[] = [];
    const collect = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      const { type, text } = value as { type?: string; text?: unknown };
      if (typeof text === 'string' && type !== undefined) texts.push({ type, text });
      Object.values(value).forEach(collect);
    };
    collect(message.blocks);
    for (const { type, text } of [...texts, { type: 'mrkdwn', text: message.text }]) {
      expect(text.length).toBeLessThanOrEqual(type === 'plain_text' ? limits.header : limits.section);
      // Nobody is called, and no link leads anywhere but to https.
      if (type === 'mrkdwn')
        for (const [tag] of text.matchAll(/<[^>]*>?/g)) expect(tag).toMatch(/^<https:\/\/[^<>]+>$/);
    }
  };

  it('is told any text as text', () => {
    const long = fc.tuple(nasty, fc.constantFrom(1, 5000)).map(([text, times]) => text.repeat(times).slice(0, 50_000));
    const marks = fc.constantFrom('<!channel>', '```', '<@U1>', '<javascript:x|y>', '```'.repeat(2000), '&lt;');
    fc.assert(
      fc.property(fc.oneof(long, marks), (text) => {
        check(slackMessage(outcome(text)));
        // What PostgreSQL said stands between two fences, and ends with the second.
        const failure = { ...outcome('x').failure, message: text } as NonNullable<Outcome['failure']>;
        const told = JSON.stringify(slackMessage({ ...outcome('x'), failure }));
        expect(told.match(/```/g) ?? []).toHaveLength(2);
        check(
          slackAlarm({
            ...{ AlarmName: text, AlarmDescription: text, NewStateValue: 'ALARM', OldStateValue: 'OK' },
            ...{ NewStateReason: text, StateChangeTime: text, Region: text },
            AlarmArn: 'arn:aws:cloudwatch:eu-north-1:111122223333:alarm:a',
          }),
        );
      }),
      { numRuns: 200 },
    );
  });
});

it('a word for the shell is one word', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const word = shellWord(text);
      const bare = word.replaceAll(`'\\''`, '');
      expect(/^[\w@%+=:,./-]+$/.test(word) || /^'[^']*'$/s.test(bare)).toBe(true);
    }),
  );
});
