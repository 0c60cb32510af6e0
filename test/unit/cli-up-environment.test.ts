import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { adoptUpEnvironment, readUpEnvironment, writeUpEnvironment } from '../../lib/cli/up-environment.ts';

const directory = mkdtempSync(join(tmpdir(), 'up-'));
const file = join(directory, 'nested', 'up.env');
afterAll(() => rmSync(directory, { recursive: true }));

const values = { AWS_ENDPOINT_URL: 'http://127.0.0.1:4566', AWS_ACCESS_KEY_ID: 'A', PGDR_CONFIG: "/it's here/=x.ts" };
const alive = () => true;

describe('.pgdr/up.env', () => {
  it('gives back what was written, readable by its owner alone', () => {
    writeUpEnvironment(file, 42, values);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readUpEnvironment(file, alive)).toEqual({ pid: 42, environment: values });
  });

  it('is adopted where nothing else was chosen', () => {
    const environment: NodeJS.ProcessEnv = { PATH: '/bin' };
    expect(adoptUpEnvironment(file, environment, alive)).toBe('http://127.0.0.1:4566');
    expect(environment).toEqual({ PATH: '/bin', ...values });
  });

  it('leaves what the caller has set', () => {
    const environment: NodeJS.ProcessEnv = { PGDR_CONFIG: 'mine.ts' };
    adoptUpEnvironment(file, environment, alive);
    expect(environment.PGDR_CONFIG).toBe('mine.ts');
  });

  it.each(['AWS_ENDPOINT_URL', 'AWS_PROFILE', 'AWS_ACCESS_KEY_ID'])('is not adopted when %s is set', (name) => {
    const environment: NodeJS.ProcessEnv = { [name]: 'mine' };
    expect(adoptUpEnvironment(file, environment, alive)).toBeUndefined();
    expect(environment).toEqual({ [name]: 'mine' });
  });

  it('goes when its process is gone', () => {
    const asked: number[] = [];
    const environment: NodeJS.ProcessEnv = {};
    expect(adoptUpEnvironment(file, environment, (pid) => asked.push(pid) === 0)).toBeUndefined();
    expect(asked).toEqual([42]);
    expect(environment).toEqual({});
    expect(existsSync(file)).toBe(false);
  });
});
