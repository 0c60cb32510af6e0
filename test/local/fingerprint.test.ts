import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { takeFingerprint } from '../../lib/postgres/fingerprint.ts';

let directory: string;
let server: PostgresServer;
let client: Client;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pgdr-fingerprint-'));
  // The server runs as a user of its own where this process is root.
  chmodSync(directory, 0o755);
  server = await startPostgres({ bin: providePostgres(() => {}).bin, directory: join(directory, 'server') });
  client = await server.connect('postgres');
});

afterAll(async () => {
  await client?.end();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Hash of a table of one row of three texts, a bytea and an array. */
async function hashOf(row: string): Promise<string> {
  await client.query(`TRUNCATE public.t; INSERT INTO public.t VALUES (${row})`);
  const [table] = (await takeFingerprint([client])).filter(({ relation }) => relation === 'public.t');
  return `${table?.rows} ${table?.hash1} ${table?.hash2}`;
}

it('rows that differ in anything at all differ in their hash', async () => {
  await client.query('CREATE TABLE public.t (a text, b varchar, c bpchar, d bytea, e text[], f numeric, g jsonb)');
  const rows = [
    `'x', 'y', 'z', '\\x01', '{a}', 1, '{}'`,
    `'xy', '', 'z', '\\x01', '{a}', 1, '{}'`,
    `'', 'xy', 'z', '\\x01', '{a}', 1, '{}'`,
    `NULL, 'xy', 'z', '\\x01', '{a}', 1, '{}'`,
    `'xy', NULL, 'z', '\\x01', '{a}', 1, '{}'`,
    `E'x\\x01', 'y', 'z', '\\x01', '{a}', 1, '{}'`,
    `'x', E'\\x01y', 'z', '\\x01', '{a}', 1, '{}'`,
    `'1,', 'y', 'z', '\\x01', '{a}', 1, '{}'`,
    `'x', 'y', 'z', '\\x', '{a}', 1, '{}'`,
    `'x', 'y', 'z', NULL, '{a}', 1, '{}'`,
    `'x', 'y', 'z', '\\x0001', '{a}', 1, '{}'`,
    `'x', 'y', 'z', '\\x01', NULL, 1, '{}'`,
    `'x', 'y', 'z', '\\x01', '{NULL}', 1, '{}'`,
    `'x', 'y', 'z', '\\x01', '{"NULL"}', 1, '{}'`,
    `'x', 'y', 'z', '\\x01', '{}', 1, '{}'`,
    `'x', 'y', 'z', '\\x01', '{a}', 1.0, '{}'`,
    `'x', 'y', 'z', '\\x01', '{a}', NULL, '{}'`,
    `'x', 'y', 'z', '\\x01', '{a}', 1, 'null'`,
    `'x', 'y', 'z', '\\x01', '{a}', 1, NULL`,
  ];
  const hashes = [];
  for (const row of rows) hashes.push(await hashOf(row));
  expect(new Set(hashes).size).toBe(rows.length);
});

it('a table of more columns than a function takes arguments, and one of none', async () => {
  const columns = Array.from({ length: 400 }, (_, i) => `c${i} ${['int', 'text', 'bytea', 'point'][i % 4]}`);
  await client.query(`CREATE TABLE public.wide (${columns.join(', ')}); CREATE TABLE public.nothing ()`);
  await client.query("INSERT INTO public.wide (c399) VALUES ('(1,2)'); INSERT INTO public.nothing DEFAULT VALUES");
  const before = await takeFingerprint([client]);
  expect(before.filter(({ rows }) => rows === '1').map(({ relation }) => relation)).toContain('public.nothing');
  await client.query("UPDATE public.wide SET c399 = '(1,3)'");
  const after = await takeFingerprint([client]);
  const changed = after.filter((table, i) => table.hash1 !== before[i]?.hash1 && table.hash2 !== before[i]?.hash2);
  expect(changed.map(({ relation }) => relation)).toEqual(['public.wide']);
});
