import { expect, test } from 'vitest';
import { withPossibleGrantors } from '../../lib/core/role-grants.ts';

test('a grantor without the ADMIN option leaves the grant to whoever restores', () => {
  expect(withPossibleGrantors(['GRANT pg_read_all_data TO b WITH INHERIT TRUE GRANTED BY postgres'])).toEqual([
    'GRANT pg_read_all_data TO b WITH INHERIT TRUE',
  ]);
});

test('a grantor that was given the ADMIN option before stays', () => {
  const script = [
    'GRANT team TO "Lead ""A""" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY rdsadmin',
    'GRANT team TO "Lead ""A""" WITH INHERIT TRUE GRANTED BY "Lead ""A"""',
    'GRANT team TO c WITH INHERIT TRUE GRANTED BY "Lead ""A"""',
    'GRANT other TO c WITH INHERIT TRUE GRANTED BY "Lead ""A"""',
  ];
  expect(withPossibleGrantors(script)).toEqual([
    'GRANT team TO "Lead ""A""" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE',
    script[1],
    script[2],
    'GRANT other TO c WITH INHERIT TRUE',
  ]);
});

test('a role named like a keyword is no ADMIN option', () => {
  expect(withPossibleGrantors(['GRANT team TO "ADMIN" GRANTED BY x', 'GRANT team TO c GRANTED BY "ADMIN"'])).toEqual([
    'GRANT team TO "ADMIN"',
    'GRANT team TO c',
  ]);
});

test('a superuser grants as the superuser that restores, whatever options it has itself', () => {
  const script = [
    'ALTER ROLE boss WITH SUPERUSER INHERIT',
    'ALTER ROLE lead WITH NOSUPERUSER INHERIT',
    'GRANT team TO boss WITH ADMIN OPTION GRANTED BY postgres',
    'GRANT team TO c GRANTED BY boss',
  ];
  expect(withPossibleGrantors(script)).toEqual([
    script[0],
    script[1],
    'GRANT team TO boss WITH ADMIN OPTION',
    'GRANT team TO c',
  ]);
});

test('other statements are left alone', () => {
  const script = ['CREATE ROLE a', "COMMENT ON ROLE a IS 'GRANTED BY b'", 'GRANT SET ON PARAMETER work_mem TO a'];
  expect(withPossibleGrantors(script)).toEqual(script);
});
