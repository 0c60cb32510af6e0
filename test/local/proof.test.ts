import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseBackup } from '../../lib/core/manifest.ts';
import { failedChecks, highestLevel } from '../../lib/core/proof.ts';
import { prove } from '../../tasks/prove.ts';
import { type Copy, makeProofDatabases, type ProofDatabases } from './proof-databases.ts';

/** The proof on a real server: a copy that is right holds to L5, and each way of being wrong fails by its name. */

let databases: ProofDatabases;
beforeAll(async () => {
  databases = await makeProofDatabases();
});
afterAll(() => databases?.stop());

const plan = { selection: null, schemaOnly: false, partial: null };
const diedAt = Date.now() + 60_000;
const proofOf = async ({ connection }: Copy, assertions: readonly string[] = [], of?: Partial<DatabaseBackup>) => {
  const restored = { database: { ...databases.manifest, ...of }, plan };
  const proof = await prove(connection, restored, { assertions, diedAt, signal: new AbortController().signal });
  const failed = failedChecks(proof.checks);
  return {
    ...proof,
    level: highestLevel(proof.checks),
    failed: failed.map(({ name, detail }) => `${name}: ${detail}`),
    error: failed[0]?.error,
  };
};

describe('a copy by pg_dump and pg_restore', () => {
  it('is proven to L5, the defects of its source included', async () => {
    const proof = await proofOf(await databases.copy(), [
      'SELECT count(*) = 2000 FROM sales.orders',
      // The database's own settings are those of an application.
      "SELECT current_setting('intervalstyle') = 'iso_8601'",
    ]);
    expect(proof.failed).toEqual([]);
    expect(proof.level).toBe('L5');
    expect(databases.manifest.defects).toEqual({
      constraintsNotValidated: ['pets_named on public.pets'],
      indexesInvalid: [],
      sequencesBehind: ['public.pets_id_seq'],
    });
    const detail = (name: string) => proof.checks.find((check) => check.name === name)?.detail;
    expect(detail('sequences cover their columns')).toMatch(/but public\.pets_id_seq, as in the source/);
    expect(detail('foreign keys')).toBe('2 keys without orphans');
    expect(detail('amcheck')).toMatch(/^amcheck 1\.\d: \d{2,} B-trees hold every row, \d{2,} tables$/);
    expect(detail('assertions')).toBe('2 hold');
  });

  it('leaves no extension behind', async () => {
    const copy = await databases.copy();
    await proofOf(copy);
    expect((await proofOf(copy)).failed).toEqual([]);
  });

  it('measures the RPO by the snapshot, and by the newest heartbeat where there is one', async () => {
    const plain = await proofOf(await databases.copy());
    expect(plain.rpo).toEqual({
      from: 'snapshot of the backup',
      seconds: (diedAt - Date.parse(databases.manifest.snapshot.takenAt)) / 1000,
    });
    const beating = await databases.copy(`
      CREATE SCHEMA pgdr;
      CREATE TABLE pgdr.heartbeat (at timestamptz NOT NULL);
      INSERT INTO pgdr.heartbeat VALUES (to_timestamp(${diedAt / 1000} - 7.5)), (now() - interval '1 day');`);
    expect((await proofOf(beating)).rpo).toEqual({ from: 'newest heartbeat', seconds: 7.5 });
  });
});

describe('L3 fails, naming', () => {
  const cases: [string, string, RegExp][] = [
    ['one row short', 'DELETE FROM months_01 WHERE id = 7', /^row counts: public\.months_01 has 49 rows, not 50$/],
    ['a missing table', 'DROP TABLE pets', /^tables: public\.pets is missing$/],
    ['another type', 'ALTER TABLE pets ALTER name TYPE varchar(9)', /^tables: public\.pets has other columns$/],
    [
      'an orphan row',
      'SET session_replication_role = replica; UPDATE sales.orders SET customer_id = 999 WHERE id = 3',
      /^foreign keys: orders_customer_id_fkey on sales\.orders has 1 orphans$/,
    ],
    [
      'a constraint that is not validated',
      `ALTER TABLE sales.orders DROP CONSTRAINT orders_customer_id_fkey,
         ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers NOT VALID`,
      /^constraints validated: orders_customer_id_fkey on sales\.orders is not validated$/,
    ],
    [
      'an invalid index',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sales.orders_number'::regclass`,
      /^indexes valid: sales\.orders_number is not valid$/,
    ],
    [
      'a sequence behind',
      "SELECT setval('sales.orders_id_seq', 1500)",
      /^sequences: sales\.orders_id_seq is at 1500, behind 2000$/,
    ],
    [
      'a sequence behind its column',
      "SELECT setval('sales.orders_id_seq', 2000, false)",
      /^sequences cover their columns: sales\.orders_id_seq is behind sales\.orders\.id$/,
    ],
    [
      'a column that may be null',
      'ALTER TABLE customers ALTER email DROP NOT NULL',
      /^inventory: not null column: \d+, not \d+$/,
    ],
    ['a missing extension', 'DROP EXTENSION citext CASCADE', /^extensions: citext is missing$/],
    [
      'a missing grant',
      'REVOKE SELECT ON sales.orders FROM proof_clerk',
      /^grants: SELECT to proof_clerk on table sales\.orders is missing$/,
    ],
    ['another owner', 'ALTER TABLE sales.orders OWNER TO postgres', /^owners: .*objects of proof_lead: 0, not 2/],
  ];
  it.each(cases)('%s', async (_, sql, named) => {
    const proof = await proofOf(await databases.copy(sql));
    expect(proof.failed).toContainEqual(expect.stringMatching(named));
    expect([proof.level, proof.error]).toEqual(['L2', 'StructureDiffers']);
  });

  it('every privilege that is missing, and each that nobody gave', async () => {
    const { failed } = await proofOf(
      await databases.copy(`
        REVOKE UPDATE (note) ON customers FROM proof_lead;
        REVOKE GRANT OPTION FOR INSERT ON customers FROM proof_clerk;
        REVOKE USAGE ON SCHEMA sales FROM proof_clerk;
        REVOKE USAGE ON SEQUENCE sales.orders_id_seq FROM proof_clerk;
        REVOKE SELECT ON LARGE OBJECT 4711 FROM proof_clerk;
        REVOKE EXECUTE ON FUNCTION citext_eq(citext, citext) FROM proof_clerk;
        GRANT EXECUTE ON FUNCTION sales.total(bigint) TO PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE proof_lead IN SCHEMA sales REVOKE SELECT ON TABLES FROM proof_clerk;`),
    );
    expect(failed).toEqual([
      `grants: ${[
        'UPDATE to proof_lead on column public.customers.note is missing',
        'EXECUTE to proof_clerk on function public.citext_eq(public.citext, public.citext) is missing',
        'no EXECUTE to PUBLIC on function sales.total(bigint) is missing',
        'SELECT to proof_clerk (1) on large objects is missing',
        'SELECT to proof_clerk on new tables of proof_lead in schema sales is missing',
        'USAGE to proof_clerk on schema sales is missing',
        'USAGE to proof_clerk on sequence sales.orders_id_seq is missing',
        'INSERT to proof_clerk with grant option on table public.customers is missing',
        'INSERT to proof_clerk on table public.customers was not in the source',
      ].join('; ')}`,
    ]);
  });

  it('what belongs to the server or to the database', async () => {
    const copy = await databases.copy();
    const name = copy.connection.dbname;
    await copy.query(`ALTER DATABASE ${name} RESET intervalstyle;
      ALTER ROLE proof_clerk IN DATABASE ${name} SET lock_timeout = '4s';
      REVOKE CONNECT ON DATABASE ${name} FROM proof_clerk`);
    const role = { name: 'proof_clerk', attributes: ['createdb', 'inherit', 'login'], memberOf: ['pg_monitor'] };
    const { failed } = await proofOf(copy, [], {
      roles: [...databases.manifest.roles.filter((r) => r.name !== role.name), role, { ...role, name: 'proof_gone' }],
      extensions: [{ name: 'citext', version: '99.1' }],
    });
    expect(failed).toEqual([
      expect.stringMatching(/^extensions: citext is 1\.\d+, older than 99\.1$/),
      'roles: proof_clerk has lost createdb; proof_clerk has gained connection limit 5; proof_clerk is no longer in pg_monitor; proof_gone is missing',
      'grants: CONNECT to proof_clerk on database is missing',
      'settings: intervalstyle of database is missing; lock_timeout of role proof_clerk in the database has another value',
    ]);
  });
});

describe('L4 fails, naming', () => {
  it('the table with one changed value', async () => {
    const proof = await proofOf(await databases.copy("UPDATE customers SET note = note || '.' WHERE id = 12"));
    expect(proof.failed).toEqual(['content: public.customers differs from the snapshot']);
    expect([proof.level, proof.error]).toEqual(['L3', 'ContentDiffers']);
  });
});

describe('L5 fails, naming', () => {
  it('an index that lacks one row of its table, and is in order otherwise', async () => {
    const copy = await databases.copy();
    await copy.replaceKey('sales.orders_number', 2001n, 2002n);
    const proof = await proofOf(copy);
    expect(proof.failed).toEqual([
      expect.stringMatching(/^amcheck: sales\.orders_number: heap tuple .* lacks matching/),
    ]);
    expect([proof.level, proof.error]).toEqual(['L4', 'IndexCorrupt']);
    // The proof has rebuilt it.
    expect((await proofOf(copy)).failed).toEqual([]);
  });

  it('an index out of order', async () => {
    const copy = await databases.copy();
    await copy.replaceKey('public.customers_pkey', 57n, 5700n);
    const proof = await proofOf(copy);
    expect(proof.failed).toEqual([
      expect.stringMatching(/^amcheck: public\.customers_pkey: item order invariant violated/),
    ]);
    expect([proof.level, proof.error]).toEqual(['L4', 'IndexCorrupt']);
  });

  it('a table whose pages contradict the catalogue', async () => {
    const copy = await databases.copy(
      "UPDATE pg_class SET relfrozenxid = txid_current()::text::xid WHERE relname = 'pets'",
    );
    expect((await proofOf(copy)).failed).toEqual([
      expect.stringMatching(/^amcheck: public\.pets block 0 offset 1: xmin/),
    ]);
  });

  it('an index that cannot be built again', async () => {
    const copy = await databases.copy(`
      SET session_replication_role = replica;
      CREATE FUNCTION positive(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN IF $1 = 12 THEN RAISE 'twelve is not positive'; END IF; RETURN $1; END $$;
      CREATE FUNCTION lenient(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1';
      CREATE INDEX by_hash ON customers USING hash (lenient(id));
      CREATE OR REPLACE FUNCTION lenient(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN RETURN public.positive($1); END $$`);
    const { failed, error } = await proofOf(copy, [], { inventory: {}, owners: {} });
    expect(failed).toEqual(['reindex: public.customers: twelve is not positive']);
    expect(error).toBe('IndexCorrupt');
  });

  it.each([
    ['SELECT false', 'is false'],
    ['SELECT NULL::boolean', 'is null'],
    ['SELECT count(*) FROM customers', 'gives a column that is not boolean'],
    ['SELECT true, true', 'gives 2 columns'],
    ['SELECT id > 0 FROM customers', 'gives 300 rows'],
    ['SELECT true WHERE false', 'gives 0 rows'],
    ['SELECT true FROM nowhere', 'relation "nowhere" does not exist'],
    ['COMMIT; DROP TABLE pets; SELECT true', 'cannot insert multiple commands'],
    ['WITH gone AS (DELETE FROM pets RETURNING id) SELECT true FROM gone', 'read-only transaction'],
  ])('the assertion %s', async (sql, problem) => {
    const proof = await proofOf(await databases.copy(), ['SELECT true', sql]);
    expect(proof.failed).toEqual([expect.stringMatching(/^assertions: assertion 2 /)]);
    expect(proof.failed[0]).toContain(problem);
    expect(proof.failed[0]).toContain(sql);
    expect([proof.level, proof.error]).toEqual(['L4', 'AssertionFailed']);
  });
});

it('a proof that is told to stop ends with the reason', async () => {
  const { connection } = await databases.copy();
  const stop = new AbortController();
  const proving = prove(
    connection,
    { database: databases.manifest, plan },
    {
      assertions: ['SELECT pg_sleep(60) IS NULL'],
      diedAt,
      signal: stop.signal,
    },
  );
  setTimeout(() => stop.abort(new Error('told to stop')), 1500);
  await expect(proving).rejects.toThrow('told to stop');
});
