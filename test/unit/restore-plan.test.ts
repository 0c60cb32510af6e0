import { describe, expect, it } from 'vitest';
import type { TocEntry } from '../../lib/core/archive-toc.ts';
import { dataEntries, planRestore } from '../../lib/core/restore-plan.ts';
import { newDatabaseName, parseRestoreRequest } from '../../lib/core/restore-request.ts';
import { relationKey } from '../../lib/core/sql-statements.ts';
import { sequenceGrants } from '../../tasks/restore-rest.ts';
import { sampleDatabase, sampleObject } from './sample-manifest.ts';

const sections: Record<string, TocEntry['section']> = {
  COMMENT: 'none',
  ACL: 'none',
  'TABLE DATA': 'data',
  'SEQUENCE SET': 'data',
};

/** `id KIND schema.tag needs 1,2`; what has no schema is written with a dash. */
function toc(text: string): TocEntry[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [, id, kind = '', schema, tag = '', needs] =
        /^\s*(\d+) ([A-Z ]+?) ([a-z]+|-)\.(.+?)(?: needs ([\d,]+))?$/.exec(line) ?? [];
      return {
        id: Number(id),
        kind,
        tag,
        schema: schema === '-' ? '' : (schema ?? ''),
        owner: 'postgres',
        section: sections[kind] ?? 'pre-data',
        definition: '',
        dependencies: needs?.split(',').map(Number) ?? [],
        copy: null,
      };
    });
}

const entries = toc(`
   1 ENCODING -.ENCODING
   2 DATABASE -.orders
   3 SCHEMA -.sales
   4 COMMENT -.SCHEMA sales needs 3
   5 EXTENSION -.citext
   6 TYPE public.status
   7 ACL public.TYPE status needs 6
   8 FUNCTION public.touch()
  10 TABLE public.customers needs 5
  11 SEQUENCE public.customers_id_seq needs 10
  12 SEQUENCE OWNED BY public.customers_id_seq needs 11
  13 DEFAULT public.customers id needs 10,11
  14 COMMENT public.COLUMN customers.id needs 10
  15 ACL public.TABLE customers needs 10
  20 TABLE public.orders needs 6
  21 TABLE public.other
  30 TABLE sales.invoices needs 3,33
  31 VIEW sales.open needs 30,3
  32 MATERIALIZED VIEW sales.totals needs 20,3
  33 SEQUENCE sales.number needs 3
  34 DEFAULT ACL sales.DEFAULT PRIVILEGES FOR TABLES needs 3
  40 TABLE public.events
  41 TABLE public.events_1
  42 TABLE ATTACH public.events_1 needs 41,40
  50 CONSTRAINT public.customers customers_pkey needs 10
  51 CONSTRAINT public.orders orders_pkey needs 20
  52 CONSTRAINT public.events events_pkey needs 40
  53 CONSTRAINT public.events_1 events_1_pkey needs 41,52
  54 INDEX public.orders_status needs 20,6
  55 COMMENT public.INDEX orders_status needs 54
  56 STATISTICS public.orders_stats needs 20
  57 INDEX ATTACH public.events_1_pkey needs 52,53,40,41
  58 INDEX sales.totals_key needs 32
  60 TRIGGER public.orders orders_touch needs 8,20
  61 RULE public.orders orders_rule needs 20,21
  62 POLICY public.orders own needs 20
  63 ROW SECURITY public.orders needs 20
  70 FK CONSTRAINT public.orders orders_customer_fkey needs 10,20,50
  71 FK CONSTRAINT sales.invoices invoices_order_fkey needs 20,30,51
  80 PUBLICATION -.all
  81 PUBLICATION TABLE public.all orders needs 80,20
  82 EVENT TRIGGER -.watch needs 8`);

const table = (relation: string, rows = '5') => ({ relation, rows, hash1: '1', hash2: '1', columns: '' });
const object = (role: 'globals' | 'schema' | 'main' | 'table', rawBytes: number, relation?: string) => ({
  ...sampleObject(`${relation ?? role}.zst`, [1]),
  role,
  rawBytes,
  relation,
});
const manifest = sampleDatabase({
  tables: [
    table('public.customers'),
    table('public.orders'),
    table('public.other', '0'),
    table('sales.invoices'),
    table('public.events_1'),
  ],
  objects: [
    object('schema', 3),
    object('globals', 2),
    object('main', 50),
    object('table', 70, 'public.orders'),
    object('table', 10, 'public.events_1'),
  ],
});

const ask = (wanted: { tables?: string[]; schemas?: string[]; schemaOnly?: boolean }) =>
  planRestore(manifest, entries, { tables: [], schemas: [], schemaOnly: false, ...wanted });
const ids = (list: readonly TocEntry[] | undefined) => list?.map(({ id }) => id);
const keys = (list: readonly { key: string }[]) => list.map(({ key }) => key);

describe('the plan of a restore', () => {
  it('of everything reads every object but the fingerprint, the largest data first', () => {
    const plan = ask({});
    expect(plan).toMatchObject({ scope: 'database', selection: null, omitted: [] });
    expect(keys(plan.objects)).toEqual([
      'globals.zst',
      'schema.zst',
      'public.orders.zst',
      'main.zst',
      'public.events_1.zst',
    ]);
    expect(plan.tables).toHaveLength(5);
  });

  it('reads all volumes of a long archive, in their order, and none with a gap', () => {
    const volume = (n: number) => ({ ...object('table', 40, 'public.orders'), key: `orders.${n}.zst`, volume: n });
    const withThese = (...more: (typeof manifest.objects)[number][]) =>
      planRestore({ ...manifest, objects: [...manifest.objects, ...more] }, entries, {
        tables: ['public.orders'],
        schemas: [],
        schemaOnly: false,
      });
    const plan = withThese(volume(3), volume(2));
    expect(keys(plan.objects)).toEqual([
      'globals.zst',
      'schema.zst',
      'public.orders.zst',
      'orders.2.zst',
      'orders.3.zst',
    ]);
    expect(plan.data).toMatchObject([{ key: 'public.orders.zst', rawBytes: 150 }]);
    expect(() => withThese(volume(3))).toThrow('public.orders.zst has no volume 2');
  });

  it('of definitions alone reads no data', () => {
    const plan = ask({ schemaOnly: true });
    expect(keys(plan.objects)).toEqual(['globals.zst', 'schema.zst']);
    expect(plan.tables).toEqual([]);
  });

  it('of a table takes what belongs to it, and what it cannot be made without', () => {
    const { selection, omitted, tables } = ask({ tables: ['public.orders'] });
    expect(ids(selection?.chosen)).toEqual([1, 20, 51, 54, 55, 56, 60, 62, 63]);
    expect(ids(selection?.needed)).toEqual([6, 7, 8]);
    expect(ids(selection?.extensions)).toEqual([5]);
    expect(tables).toEqual(['public.orders']);
    expect(omitted).toEqual([
      { what: 'rule public.orders orders_rule', why: 'it needs table public.other, which is not restored' },
      {
        what: 'fk constraint public.orders orders_customer_fkey',
        why: 'it needs table public.customers, which is not restored',
      },
    ]);
  });

  it('of a table reads that table’s object, and main only for what lies there', () => {
    expect(keys(ask({ tables: ['public.orders'] }).data)).toEqual(['public.orders.zst']);
    expect(keys(ask({ tables: ['public.customers'] }).data)).toEqual(['main.zst']);
    expect(keys(ask({ tables: ['public.orders', 'sales.invoices'] }).data)).toEqual(['public.orders.zst', 'main.zst']);
    expect(keys(ask({ tables: ['public.other'] }).data)).toEqual([]);
  });

  it('of two tables keeps what ties them together', () => {
    const { selection, omitted } = ask({ tables: ['public.orders', 'public.customers', 'public.other'] });
    expect(ids(selection?.chosen)).toEqual(expect.arrayContaining([61, 70]));
    expect(omitted).toEqual([]);
  });

  it('of a table takes the sequence that it owns, with its link and its value', () => {
    const { selection } = ask({ tables: ['public.customers'] });
    expect(ids(selection?.chosen)).toEqual([1, 10, 11, 12, 13, 14, 15, 50]);
    expect(ids(selection?.needed)).toEqual([5]);
    expect([...(selection?.sequences ?? [])]).toEqual(['"public"."customers_id_seq"']);
  });

  it('of a partitioned table takes its partitions', () => {
    const plan = ask({ tables: ['public.events'] });
    expect(plan.tables).toEqual(['public.events_1']);
    expect(keys(plan.data)).toEqual(['public.events_1.zst']);
    expect(ids(plan.selection?.chosen)).toEqual([1, 40, 41, 42, 52, 53, 57]);
  });

  it('of one partition makes the head too, without other partitions', () => {
    const { selection, tables } = ask({ tables: ['public.events_1'] });
    expect(tables).toEqual(['public.events_1']);
    expect(ids(selection?.chosen)).toEqual([1, 41, 42, 53, 57]);
    expect(ids(selection?.needed)).toEqual([40, 52]);
  });

  it('of a schema leaves out what would come back empty, and names it once', () => {
    const { selection, omitted, tables } = ask({ schemas: ['sales'] });
    expect(ids(selection?.chosen)).toEqual([1, 3, 4, 30, 31, 33, 34]);
    expect(tables).toEqual(['sales.invoices']);
    expect(omitted.map(({ what }) => what)).toEqual([
      'materialized view sales.totals',
      'fk constraint sales.invoices invoices_order_fkey',
    ]);
  });

  it('of two schemas keeps the views between them', () => {
    const { selection, omitted } = ask({ schemas: ['sales', 'public'] });
    expect(ids(selection?.chosen)).toEqual(expect.arrayContaining([32, 58, 71]));
    expect(ids(selection?.chosen)).not.toEqual(expect.arrayContaining([80]));
    expect([...(selection?.materializedViews ?? [])]).toEqual(['"sales"."totals"']);
    expect(omitted).toEqual([]);
  });

  it('refuses what is not in the backup, or is no table', () => {
    expect(() => ask({ tables: ['public.nothing'] })).toThrow('public.nothing is no table of this backup');
    expect(() => ask({ tables: ['sales.open'] })).toThrow('but a view');
    expect(() => ask({ tables: ['orders'] })).toThrow('not of the form schema.table');
    expect(() => ask({ schemas: ['nowhere'] })).toThrow('no schema nowhere');
  });
});

describe('the entries of a data archive', () => {
  const data = toc(`
    5 TABLE DATA public.orders needs 1
    6 TABLE DATA public.customers needs 2
    7 SEQUENCE SET public.customers_id_seq needs 3
    8 SEQUENCE SET public.orders_id_seq needs 4`);
  const main = object('main', 50);

  it('are all of them for a whole restore', () => expect(dataEntries(data, ask({}), main)).toBeNull());

  it('are those of the selection', () =>
    expect(dataEntries(data, ask({ tables: ['public.customers'] }), main)).toEqual([6, 7]));

  it('are the rows alone for an object that an older backup may have stored', () =>
    expect(dataEntries(data, ask({}), object('table', 70, 'public.orders'))).toEqual([5]));
});

describe('a request', () => {
  it('has nothing that it does not know', () => {
    expect(() => parseRestoreRequest({ table: ['public.orders'] })).toThrow(/table/);
    expect(() => parseRestoreRequest({ tables: 'public.orders' })).toThrow('tables "public.orders": ');
    expect(() => parseRestoreRequest({ at: { kind: 'time', time: 'yesterday' } })).toThrow(
      'at.time "yesterday": not a time with its zone, like 2',
    );
  });

  it('has a name that PostgreSQL would not cut short', () => {
    expect(() => parseRestoreRequest({ toDatabase: 'é'.repeat(32) })).toThrow('63 bytes');
  });

  it('renames one schema at a time', () => {
    expect(() => parseRestoreRequest({ schemas: ['a', 'b'], toSchema: 'c' })).toThrow('one schema');
    expect(() => parseRestoreRequest({ toSchema: 'c' })).toThrow('one schema');
    expect(parseRestoreRequest({ schemas: ['a'], toSchema: 'c' })).toMatchObject({ toSchema: 'c' });
  });

  it('fits into the overrides of a task', () => {
    expect(() => parseRestoreRequest({ tables: Array.from({ length: 200 }, (_, i) => `public.table_${i}`) })).toThrow(
      'too much',
    );
  });

  it('goes into a new database of a name that fits', () => {
    const at = new Date('2026-11-21T02:00:03.500Z');
    expect(newDatabaseName('orders', at)).toBe('orders_restored_20261121_020003');
    const long = newDatabaseName('ü'.repeat(31), at);
    expect(Buffer.byteLength(long)).toBeLessThanOrEqual(63);
    expect(long).toMatch(/^ü+_restored_20261121_020003$/);
  });
});

describe('grants on sequences that pg_dump 14 forgets', () => {
  const grants = [
    {
      object: 'sequence public.orders_id_seq',
      privileges: ['USAGE to shop', `SELECT to "Odd 'role" with grant option`],
    },
    { object: 'sequence sales."of 2"', privileges: ['no UPDATE to postgres'] },
    { object: 'table public.orders', privileges: ['SELECT to shop'] },
  ];
  const of = (serverVersionNum: number) => ({ ...sampleDatabase(), serverVersionNum, grants });

  it('come from the manifest, of the wanted sequences', () => {
    const statement = (text: string) => `DO 'BEGIN ${text}; EXCEPTION WHEN undefined_object THEN NULL; END'`;
    const all = [
      statement('GRANT USAGE ON SEQUENCE public.orders_id_seq TO shop'),
      statement(`GRANT SELECT ON SEQUENCE public.orders_id_seq TO "Odd ''role" with grant option`),
      statement('REVOKE UPDATE ON SEQUENCE sales."of 2" FROM postgres'),
    ];
    expect(sequenceGrants(of(140_024), null)).toEqual(all);
    expect(sequenceGrants(of(140_024), new Set([relationKey({ schema: 'sales', name: 'of 2' })]))).toEqual(
      all.slice(2),
    );
  });

  it('are in the archives of every other major', () => {
    expect(sequenceGrants(of(130_016), null)).toEqual([]);
    expect(sequenceGrants(of(150_018), null)).toEqual([]);
  });
});
