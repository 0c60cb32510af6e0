import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Loose, temporaryFolder } from './assembly.ts';

/** The app as `cdk synth` runs it: a process of its own, here without account, credentials or network. */
const root = resolve(import.meta.dirname, '../..');

function runApp(environment: Record<string, string>) {
  const { PATH, HOME } = process.env;
  return spawnSync(process.execPath, ['bin/app.ts'], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH, HOME, ...environment },
  });
}

function configFile(text: string): string {
  const path = join(temporaryFolder(), 'pgdr.config.ts');
  writeFileSync(path, text);
  return path;
}

describe('with the sample configuration', () => {
  const outdir = temporaryFolder();
  const assets = (kind: 'files' | 'dockerImages'): Loose[] =>
    Object.values(JSON.parse(readFileSync(join(outdir, 'acme-platform-eu-north-1.assets.json'), 'utf8'))[kind]);

  beforeAll(() => {
    const { status, stderr } = runApp({ CDK_OUTDIR: outdir });
    expect(stderr).not.toMatch(/docker/i);
    expect(status).toBe(0);
  });

  test('both regions deploy the same functions and image', () => {
    const hashes = (region: string) => {
      const text = readFileSync(join(outdir, `acme-platform-${region}.assets.json`), 'utf8');
      const { files, dockerImages } = JSON.parse(text);
      return Object.keys({ ...files, ...dockerImages });
    };
    const own = (region: string) => hashes(region).filter((hash) => !hashes('eu-north-1').includes(hash));
    // Only the template itself differs.
    expect(own('us-east-1')).toHaveLength(1);
  });

  test('the image is built from what tasks need, and its tools are of the right major', () => {
    const [image, ...others] = assets('dockerImages');
    expect(others).toEqual([]);
    const { directory, dockerFile, dockerBuildArgs, platform } = image.source;
    expect({ dockerFile, dockerBuildArgs, platform }).toEqual({
      dockerFile: 'tasks/Dockerfile',
      dockerBuildArgs: { PG_MAJOR: '17' },
      platform: 'linux/arm64',
    });
    expect(readdirSync(join(outdir, directory)).sort()).toEqual([
      '.npmrc',
      'lib',
      'package-lock.json',
      'package.json',
      'tasks',
    ]);
    expect(readdirSync(join(outdir, directory, 'lib')).sort()).toEqual(['aws', 'core', 'postgres']);
  });

  test('every function loads, with nothing beside it but Node', () => {
    const bundles = readdirSync(outdir).filter((name) => readdirSafe(join(outdir, name)).includes('index.mjs'));
    expect(bundles).toHaveLength(10);
    for (const bundle of bundles) {
      const script = `import(${JSON.stringify(join(outdir, bundle, 'index.mjs'))}).then((m) => console.log(typeof m.handler))`;
      const printed = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', cwd: outdir });
      expect(printed.trim()).toBe('function');
    }
  });
});

describe('with a configuration that is no good, synthesis ends in one message', () => {
  test.each([
    ['a missing file', () => '/nonexistent/pgdr.config.ts', /No configuration at \/nonexistent/],
    ['no default export', () => configFile('export const config = {};'), /has no default export/],
    ['a syntax error', () => configFile('export default {'), /cannot be loaded/],
    ['bad values', () => configFile("export default { name: 'Acme', databases: [] };"), /- name is 'Acme'\. Allowed:/],
  ])('%s', (_, path, message) => {
    const { status, stderr } = runApp({ PGDR_CONFIG: path(), CDK_OUTDIR: temporaryFolder() });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(2);
  });

  test('named by the context of cdk', () => {
    const { stderr } = runApp({
      CDK_CONTEXT_JSON: '{"config":"/nonexistent/other.ts"}',
      CDK_OUTDIR: temporaryFolder(),
    });
    expect(stderr).toMatch('/nonexistent/other.ts');
  });
});

function readdirSafe(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
