import { describe, expect, it } from 'vitest';
import type { DatabaseBackup } from '../../lib/core/manifest.ts';
import {
  type Check,
  compareTables,
  type DatabaseProof,
  failedChecks,
  highestLevel,
  judge,
  judgeUse,
  lowestLevel,
  measureRpo,
  type ProofReport,
  type Restored,
  totalRows,
  type Usable,
} from '../../lib/core/proof.ts';
import { isLower } from '../../lib/core/proof-differences.ts';
import { proofPage } from '../../lib/core/proof-page.ts';
import { sampleDatabase } from './sample-manifest.ts';

const manifest = sampleDatabase({ extensions: [{ name: 'citext', version: '1.6' }] });

const { serverVersionNum, roles, grants, owners, settings, defects } = manifest;
const good: Restored = {
  serverVersionNum,
  roles,
  grants,
  owners,
  settings,
  defects,
  tables: manifest.tables,
  sequences: manifest.sequences,
  inventory: manifest.inventory,
  extensions: [{ name: 'citext', version: '1.6' }],
  foreignKeys: [{ name: 'fk', table: 'orders', orphans: '0' }],
  ownedSequences: [{ sequence: 's', column: 'c', reached: true }],
};

const failing = (restored: Partial<Restored>, of: DatabaseBackup = manifest) => {
  const seen = { ...good, ...restored };
  return judge(of, seen, compareTables(of.tables, seen.tables)).filter((check) => !check.held);
};
const table = (changes: object) => ({
  tables: [{ ...(manifest.tables[0] as object), ...changes } as DatabaseBackup['tables'][number]],
});
const sequence = (changes: object) => ({
  sequences: [{ ...(manifest.sequences[0] as object), ...changes } as DatabaseBackup['sequences'][number]],
});

const defect = (changes: object) => ({ defects: { ...defects, ...changes } });

describe('the proof', () => {
  it('holds for a restore that equals its source', () => {
    expect(failing({})).toEqual([]);
    expect(totalRows(compareTables(manifest.tables, good.tables))).toBe('2');
  });

  it.each([
    ['a missing table', { tables: [] }, 'tables', 'L3'],
    [
      'a table that was not there',
      { tables: [...manifest.tables, { relation: 'public.x', rows: '0', hash1: '0', hash2: '0', columns: '' }] },
      'tables',
      'L3',
    ],
    ['another column type', table({ columns: 'cd' }), 'tables', 'L3'],
    ['one row short', table({ rows: '1', hash1: '1' }), 'row counts', 'L3'],
    ['changed content', table({ hash1: '1' }), 'content', 'L4'],
    ['a change that only the second hash sees', table({ hash2: '1' }), 'content', 'L4'],
    ['a missing sequence', { sequences: [] }, 'sequences', 'L3'],
    ['a sequence that went back', sequence({ lastValue: '1' }), 'sequences', 'L3'],
    ['a sequence that forgot its last call', sequence({ isCalled: false }), 'sequences', 'L3'],
    [
      'a sequence behind its column',
      { ownedSequences: [{ sequence: 's', column: 'c', reached: false }] },
      'sequences cover their columns',
      'L3',
    ],
    ['an orphan', { foreignKeys: [{ name: 'fk', table: 'orders', orphans: '1' }] }, 'foreign keys', 'L3'],
    ['a missing extension', { extensions: [] }, 'extensions', 'L3'],
    ['an older extension', { extensions: [{ name: 'citext', version: '1.5' }] }, 'extensions', 'L3'],
    ['a constraint no longer validated', defect({ constraintsNotValidated: ['k'] }), 'constraints validated', 'L3'],
    ['an invalid index', defect({ indexesInvalid: ['i'] }), 'indexes valid', 'L3'],
    ['a missing role', { roles: [] }, 'roles', 'L3'],
    ['a role that may do more', { roles: [{ ...roles[0], attributes: ['superuser'] }] }, 'roles', 'L3'],
    ['a role outside of its group', { roles: [{ ...roles[0], memberOf: [] }] }, 'roles', 'L3'],
    ['a missing grant', { grants: [] }, 'grants', 'L3'],
    [
      'a grant that nobody gave',
      { grants: [...grants, { object: 'schema x', privileges: ['USAGE to y'] }] },
      'grants',
      'L3',
    ],
    ['another owner', { owners: { postgres: 2, shop: 1 } }, 'owners', 'L3'],
    ['a missing setting', { settings: [] }, 'settings', 'L3'],
    ['another setting', { settings: [{ ...settings[0], value: '9MB' }] }, 'settings', 'L3'],
    ['a missing index', { inventory: { ...manifest.inventory, index: 0 } }, 'inventory', 'L3'],
  ])('fails on %s, by name', (_, restored, name, level) => {
    const error = level === 'L3' ? 'StructureDiffers' : 'ContentDiffers';
    expect(failing(restored as Partial<Restored>)).toContainEqual(expect.objectContaining({ name, level, error }));
  });

  it('blames no restore for what was amiss in its source', () => {
    const of = sampleDatabase({
      ...manifest,
      defects: { constraintsNotValidated: ['k'], indexesInvalid: ['i'], sequencesBehind: ['s'] },
    });
    const same = { defects: of.defects, ownedSequences: [{ sequence: 's', column: 'c', reached: false }] };
    expect(failing(same, of)).toEqual([]);
    expect(failing({ ...same, defects: { ...of.defects, indexesInvalid: ['i', 'j'] } }, of)).toHaveLength(1);
  });

  it('takes a newer extension, and what a newer major adds to a grant', () => {
    expect(failing({ extensions: [{ name: 'citext', version: '1.10' }] })).toEqual([]);
    const more = { grants: [{ ...(grants[0] as object), privileges: ['MAINTAIN to shop', 'SELECT to shop'] }] };
    expect(failing({ ...(more as Partial<Restored>), serverVersionNum: 180_001 })).toEqual([]);
    expect(failing(more as Partial<Restored>)).toHaveLength(1);
  });

  it('knows that a newer major is born without what an older one had to revoke', () => {
    const of = sampleDatabase({
      ...manifest,
      serverVersionNum: 140_010,
      grants: [...grants, { object: 'schema public', privileges: ['no CREATE to PUBLIC'] }],
    });
    expect(failing({ serverVersionNum: 150_001 }, of)).toEqual([]);
    expect(failing({ serverVersionNum: 140_011 }, of)).toHaveLength(1);
  });

  it('never tells the value of a setting', () => {
    const [check] = failing({ settings: [{ scope: 'database', name: 'work_mem', value: 'secret' }] });
    expect(check?.detail).toBe('work_mem of database has another value');
  });

  it('lets a sequence be ahead of the snapshot, and one that counts down be below it', () => {
    expect(failing(sequence({ lastValue: '9' }))).toEqual([]);
    const down = sampleDatabase({ ...manifest, ...sequence({ direction: 'down', lastValue: '-5' }) });
    expect(failing(sequence({ direction: 'down', lastValue: '-7' }), down)).toEqual([]);
    expect(failing(sequence({ direction: 'down', lastValue: '-4' }), down)).toHaveLength(1);
  });

  const check = (level: Check['level'], held: boolean, more: Partial<Check> = {}): Check => ({
    level,
    held,
    name: level,
    detail: '',
    ...more,
  });

  it('gives the highest level with none broken below', () => {
    expect(highestLevel([check('L0', true), check('L1', true), check('L2', false), check('L3', true)])).toBe('L1');
    expect(highestLevel([check('L0', false)])).toBeNull();
    expect(highestLevel([check('L1', true)])).toBeNull();
  });

  it('is worth what the least proven database is', () => {
    expect(lowestLevel(['L5', 'L3', 'L4'])).toBe('L3');
    expect(lowestLevel(['L5', null])).toBeNull();
  });

  it('has a page that escapes what a database can be called', () => {
    const page = proofPage({
      ...report,
      database: '<script>alert(1)</script>',
      holds: false,
      databases: [proofOf([check('L3', false, { name: 'grants', detail: '"quoted" & <b>' })])],
    });
    expect(page).not.toContain('<script>');
    expect(page).toContain('&#34;quoted&#34; &#38; &#60;b&#62;');
    expect(page).toContain('Not proven: grants');
  });

  it('has a page with a verdict for each level', () => {
    const held = (['L0', 'L1', 'L2', 'L3', 'L4'] as const).map((level) => check(level, true));
    const page = proofPage({ ...report, databases: [proofOf([...held, check('L5', false, { unavailable: true })])] });
    expect(page).toContain('Proven to L4');
    expect(page.match(/<td>L\d<\/td><td>[^<]+<\/td><td><span class="ok">holds<\/span><\/td>\s*<\/tr>/g)).toHaveLength(
      5,
    );
    expect(page).toMatch(/<td>L5<\/td><td>[^<]+<\/td><td>not made<\/td><\/tr>/);
  });
});

const report: ProofReport = {
  schemaVersion: 1,
  id: 'p',
  database: 'orders',
  backupId: 'b',
  manifestKey: 'k',
  sourceVersion: '15.18',
  serverVersion: '17',
  level: 'L4',
  holds: true,
  databases: [],
  startedAt: '2026-11-21T02:00:00Z',
  restoreSeconds: 1,
  proofSeconds: 1,
  rpoSeconds: 1,
  rtoSeconds: 1,
};

const proofOf = (checks: Check[]): DatabaseProof => ({
  name: 'orders',
  level: 'L4',
  partial: null,
  checks,
  tables: [],
  rpoSeconds: 1,
  rpoFrom: 'newest heartbeat',
});

describe('the use of a restored database', () => {
  const sound: Usable = {
    storage: { amcheck: '1.4', indexes: 3, tables: 2, damaged: [], reindexed: 2, reindexFailures: [] },
    assertions: [{ sql: 'SELECT true', problem: null }],
    heartbeatAt: null,
  };
  const rpo = measureRpo(manifest, null, Date.parse('2026-11-21T02:10:01.000Z'));
  const failing = (changes: Partial<Usable['storage']>, assertions = sound.assertions) =>
    failedChecks(judgeUse({ ...sound, storage: { ...sound.storage, ...changes }, assertions }, rpo));

  it('is L5 when all holds', () => {
    expect(failing({})).toEqual([]);
    expect(judgeUse(sound, rpo).every((check) => check.level === 'L5' && check.held)).toBe(true);
  });

  it.each([
    ['a damaged index', { damaged: ['public.i: lacks a tuple'] }, 'amcheck'],
    ['an index that cannot be rebuilt', { reindexFailures: ['public.t: no'] }, 'reindex'],
  ])('fails on %s as IndexCorrupt', (_, changes, name) => {
    expect(failing(changes)).toEqual([expect.objectContaining({ name, level: 'L5', error: 'IndexCorrupt' })]);
  });

  it('fails on an assertion as AssertionFailed, with the assertion', () => {
    const assertions = [{ sql: 'SELECT\n  sum(x) = 0 FROM t', problem: 'is false' }];
    expect(failing({}, assertions)).toEqual([
      expect.objectContaining({ error: 'AssertionFailed', detail: 'assertion 1 is false: SELECT sum(x) = 0 FROM t' }),
    ]);
  });

  it('does not fail without amcheck, and is no L5 then', () => {
    const checks = judgeUse({ ...sound, storage: { ...sound.storage, amcheck: null } }, rpo);
    expect(failedChecks(checks)).toEqual([]);
    const below = (['L0', 'L1', 'L2', 'L3', 'L4'] as const).map((level) => ({
      level,
      name: '',
      held: true,
      detail: '',
    }));
    expect(highestLevel([...below, ...checks])).toBe('L4');
    expect(highestLevel([...below, ...judgeUse(sound, rpo)])).toBe('L5');
  });

  it('measures the RPO from the heartbeat, else from the snapshot', () => {
    expect(rpo).toEqual({ seconds: 600, from: 'snapshot of the backup' });
    const at = Date.parse('2026-11-21T02:10:01.000Z');
    expect(measureRpo(manifest, '2026-11-21T02:00:00.500000Z', at)).toEqual({
      seconds: 600.5,
      from: 'newest heartbeat',
    });
  });
});

describe('versions of extensions', () => {
  it.each([
    ['1.9', '1.10', true],
    ['1.10', '1.9', false],
    ['1.6', '1.6', false],
    ['3.4', '3.4.1', true],
    ['3.4.2', '3.4', false],
    ['2.0', '10', true],
  ])('%s is lower than %s: %s', (a, b, lower) => expect(isLower(a, b)).toBe(lower));
});
