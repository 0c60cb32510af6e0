import { describe, expect, it } from 'vitest';
import type { DatabaseBackup } from '../../lib/core/manifest.ts';
import { type Captured, comparable, judgeCaptured } from '../../lib/core/proof-captured.ts';
import { everything } from '../../lib/core/selection.ts';
import { sampleDatabase } from './sample-manifest.ts';

const [customers] = sampleDatabase().tables as [DatabaseBackup['tables'][number]];
const scratch = { ...customers, relation: 'public.scratch' };
const database = sampleDatabase({ tables: [customers, scratch] });
const { serverVersionNum, roles, grants, owners, settings, extensions, inventory } = database;
const good: Captured = {
  ...{ serverVersionNum, roles, grants, owners, settings, extensions, inventory },
  tables: [customers],
  unlogged: [scratch.relation],
};
const failing = (changes: Partial<Captured>, of = database) =>
  judgeCaptured(of, { ...good, ...changes })
    .checks.filter(({ held }) => !held)
    .map(({ level, name, detail }) => `${level} ${name}: ${detail}`);

describe('a recovered server at the point of a snapshot', () => {
  it('shows what the snapshot showed, but for unlogged tables', () => {
    expect(failing({})).toEqual([]);
    expect(judgeCaptured(database, good).tables.map(({ relation }) => relation)).toEqual([customers.relation]);
  });

  it('fails by the name of the table that is a row short, another, or not there', () => {
    const of = (changes: object) => failing({ tables: [{ ...customers, ...changes }] });
    const as = `as in ${database.id}`;
    expect(of({ rows: '1', hash1: '4' })).toEqual([
      `L3 row counts ${as}: public.customers has 1 rows, not 2`,
      `L4 content ${as}: public.customers differs from the snapshot`,
    ]);
    expect(of({ hash2: '8' })).toEqual([`L4 content ${as}: public.customers differs from the snapshot`]);
    expect(failing({ tables: [] })).toEqual([`L3 tables ${as}: public.customers is missing`]);
    expect(failing({ grants: [] })[0]).toContain(`L3 grants ${as}: `);
  });

  it('is compared with a partial backup by the content of its tables alone', () => {
    const selection = { asked: everything, included: null, excluded: [], withoutRows: [scratch.relation], leftOut: [] };
    const partial = { ...database, selection };
    expect(comparable(partial, [])).toEqual([customers.relation]);
    expect(failing({ grants: [], inventory: {} }, partial)).toEqual([]);
    expect(failing({ tables: [{ ...customers, hash1: '1' }] }, partial)).toHaveLength(1);
    expect(failing({ tables: [] }, partial)[0]).toContain('public.customers is missing');
    const definitions = { ...partial, selection: { ...selection, asked: { ...everything, schemaOnly: true } } };
    expect(comparable(definitions, [])).toEqual([]);
  });
});
