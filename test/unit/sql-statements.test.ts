import { describe, expect, it } from 'vitest';
import {
  parseRelation,
  quoteLiteral,
  relationKey,
  renameDatabase,
  splitStatements,
  withoutClause,
} from '../../lib/core/sql-statements.ts';
import { statementsOfMissing } from '../../tasks/restore-globals.ts';

describe('statements of a script', () => {
  it('end at semicolons outside of quotes; comments and lines of psql fall away', () => {
    const script = String.raw`-- a ; comment
\restrict abc;
SET a = 'b;c';
CREATE ROLE "a;b"; DO $x$ ; $x$;
ALTER ROLE x SET y TO E'\';';
`;
    expect(splitStatements(script)).toEqual([
      "SET a = 'b;c'",
      'CREATE ROLE "a;b"',
      'DO $x$ ; $x$',
      String.raw`ALTER ROLE x SET y TO E'\';'`,
    ]);
  });

  it('on one database become statements on another, whatever their values say', () => {
    expect(renameDatabase(`ALTER ROLE app IN DATABASE orders SET x TO 'DATABASE orders'`, 'orders', 'new "one"')).toBe(
      `ALTER ROLE app IN DATABASE "new ""one""" SET x TO 'DATABASE orders'`,
    );
    expect(renameDatabase('GRANT CONNECT ON DATABASE "My db" TO orders', 'My db', 'o')).toBe(
      'GRANT CONNECT ON DATABASE "o" TO orders',
    );
    expect(renameDatabase('ALTER DATABASE other SET x TO 1', 'orders', 'o')).toBe('ALTER DATABASE other SET x TO 1');
  });

  it('lose their last clause, and not a word inside of quotes', () => {
    expect(withoutClause('GRANT a TO b WITH ADMIN OPTION GRANTED BY c', 'GRANTED', 'BY')).toBe(
      'GRANT a TO b WITH ADMIN OPTION',
    );
    expect(withoutClause(`CREATE DATABASE x LOCALE = 'TABLESPACE = y'`, 'TABLESPACE', '=')).toBe(
      `CREATE DATABASE x LOCALE = 'TABLESPACE = y'`,
    );
  });
});

describe('names of relations', () => {
  it.each([
    ['public.orders', 'public', 'orders'],
    ['Public.Orders', 'public', 'orders'],
    ['"My ""schema""".ta$1', 'My "schema"', 'ta$1'],
    ['"a.b"."c\nd"', 'a.b', 'c\nd'],
  ])('%j is two names', (text, schema, name) => {
    expect(parseRelation(text)).toEqual({ schema, name });
    expect(parseRelation(relationKey({ schema, name }))).toEqual({ schema, name });
  });

  it.each(['orders', 'a.b.c', '', '"a.b', 'a b.c'])('%j is not', (text) => expect(parseRelation(text)).toBeUndefined());

  it('literals survive backslashes and quotes', () => expect(quoteLiteral(`a'b\\`)).toBe(String.raw`E'a''b\\'`));
});

describe('roles of a backup that a server lacks', () => {
  const script = `
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN;
CREATE ROLE "new role";
ALTER ROLE "new role" WITH NOSUPERUSER;
COMMENT ON ROLE app IS 'CREATE ROLE "new role"';
COMMENT ON ROLE "new role" IS 'it; is new';
ALTER ROLE app SET work_mem TO '1MB';
ALTER ROLE "new role" SET work_mem TO '2MB';
GRANT app TO admin GRANTED BY postgres;
GRANT app TO "new role" WITH ADMIN OPTION GRANTED BY postgres;
GRANT "new role" TO app;
GRANT SET ON PARAMETER work_mem TO app;
GRANT SET ON PARAMETER work_mem TO "new role";
`;

  it('come with their attributes, comments, settings and memberships; others stay as they are', () => {
    expect(statementsOfMissing(script, ['app', 'admin', 'postgres'])).toEqual({
      created: ['new role'],
      statements: [
        'CREATE ROLE "new role"',
        'ALTER ROLE "new role" WITH NOSUPERUSER',
        `COMMENT ON ROLE "new role" IS 'it; is new'`,
        `ALTER ROLE "new role" SET work_mem TO '2MB'`,
        'GRANT app TO "new role" WITH ADMIN OPTION',
        'GRANT "new role" TO app',
        'GRANT SET ON PARAMETER work_mem TO "new role"',
      ],
    });
  });

  it('are none where every role exists', () => {
    expect(statementsOfMissing(script, ['app', 'new role', 'admin'])).toEqual({ created: [], statements: [] });
  });
});
