import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

// Plain JavaScript without types, since it runs before anything is installed.
const workspace = '../../bin/workspace.mjs';
const { isOpen, openAll, productionPackages } = await import(workspace);

const directory = mkdtempSync(join(tmpdir(), 'bootstrap-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('bin/bootstrap.mjs', () => {
  it('names its tasks when it is given none of them', () => {
    const { status, stderr, stdout } = spawnSync(process.execPath, ['bin/bootstrap.mjs', 'dance'], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('rehearse|test|scenarios|peers|bench|synth|pgdr');
  });

  it('knows every task that package.json gives it', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    const source = readFileSync('bin/bootstrap.mjs', 'utf8');
    const tasks = Object.values<string>(scripts).flatMap(
      (script) => /^node bin\/bootstrap\.mjs (\w+)$/.exec(script)?.[1] ?? [],
    );
    expect(tasks).toContain('rehearse');
    for (const task of tasks) expect(source).toMatch(new RegExp(`^  ${task}: \\(args\\)`, 'm'));
  });
});

describe('the workspace of a checkout that is closed to others', () => {
  const closed = join(directory, 'closed');
  const inside = join(closed, 'inside');
  mkdirSync(inside, { recursive: true });

  it('is needed when any directory on the way is closed', () => {
    chmodSync(directory, 0o755);
    expect(isOpen(inside)).toBe(true);
    chmodSync(closed, 0o700);
    expect(isOpen(inside)).toBe(false);
    chmodSync(closed, 0o755);
    chmodSync(inside, 0o751);
    expect(isOpen(inside)).toBe(false);
  });

  it('opens what was copied, and makes nothing a program that was none', () => {
    const [text, program] = [join(inside, 'text'), join(inside, 'program')];
    writeFileSync(text, '', { mode: 0o600 });
    writeFileSync(program, '', { mode: 0o700 });
    chmodSync(inside, 0o700);
    openAll(closed);
    expect([inside, text, program].map((path) => statSync(path).mode & 0o777)).toEqual([0o755, 0o644, 0o755]);
  });

  it('copies the packages that tasks use and no others', () => {
    const packages = {
      '': {},
      'node_modules/pg': {},
      'node_modules/pg/node_modules/inner': {},
      'node_modules/vitest': { dev: true },
      'node_modules/fsevents': { optional: true },
      'node_modules/both': { devOptional: true },
    };
    expect(productionPackages({ packages })).toEqual(['node_modules/pg', 'node_modules/pg/node_modules/inner']);
  });
});
