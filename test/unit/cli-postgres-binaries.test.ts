import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findMajor, inspectServer, searchPostgres } from '../../lib/cli/setup/postgres-binaries.ts';

const directory = mkdtempSync(join(tmpdir(), 'pg-bin-'));
afterAll(() => rmSync(directory, { recursive: true }));

const all = ['initdb', 'postgres', 'pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];

function fake(name: string, version: string, programs = all): string {
  const bin = join(directory, name);
  mkdirSync(bin, { recursive: true });
  for (const program of programs) {
    writeFileSync(join(bin, program), `#!/bin/sh\necho 'postgres (PostgreSQL) ${version}'\n`);
    chmodSync(join(bin, program), 0o755);
  }
  return bin;
}

describe('finding PostgreSQL', () => {
  it('takes the newest supported major that is whole, and says why others do not serve', () => {
    const places = [
      fake('old', '12.22'),
      fake('fine', '14.18 (Debian 14.18-1)'),
      fake('newest', '17.5'),
      fake('future', '19beta1'),
      fake('server-only', '18.1', ['initdb', 'postgres']),
      join(directory, 'absent'),
    ];
    const { found, problems } = searchPostgres({}, places);
    expect(found).toEqual({ bin: places[2], major: 17, version: '17.5' });
    expect(problems.join('\n')).toMatch(
      /old holds PostgreSQL 12[\s\S]*future holds PostgreSQL 19[\s\S]*server-only lacks pg_dump/,
    );
  });

  it('looks nowhere else when PG_BIN is set', () => {
    const wrong = fake('incomplete', '16.1', ['postgres']);
    const { found, problems } = searchPostgres({ PG_BIN: wrong }, [fake('other', '16.1')]);
    expect(found).toBeUndefined();
    expect(problems[0]).toContain('incomplete lacks initdb');
  });

  it('finds a major by its number, in PG_BIN before anywhere else', () => {
    const bin = fake('asked-for', '16.9');
    expect(findMajor(16, { PG_BIN: bin })).toEqual({ bin, major: 16, version: '16.9' });
    expect(findMajor(12, { PG_BIN: fake('too-old', '12.22') })).toBeUndefined();
  });

  it('accepts a server without clients where only a server is wanted', () => {
    expect(inspectServer(fake('server', '18.4', ['initdb', 'postgres']))).toMatchObject({ major: 18 });
  });
});
