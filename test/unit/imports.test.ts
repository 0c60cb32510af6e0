import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** Who may import whom. Data flows one way: what is not listed here is not allowed. */
const root = resolve(import.meta.dirname, '../..');

const may: Record<string, readonly string[]> = {
  'lib/core': [],
  'lib/config': ['lib/core'],
  'lib/aws': ['lib/core'],
  'lib/postgres': ['lib/core'],
  'lib/constructs': ['lib/config', 'lib/core'],
  'lib/stacks': ['lib/constructs', 'lib/config', 'lib/core'],
  // The command line starts and shows everything, the local cloud and the app among it.
  'lib/cli': ['lib/aws', 'lib/postgres', 'lib/core', 'lib/config', 'lib/stacks', 'local'],
  lambdas: ['lib/aws', 'lib/postgres', 'lib/core'],
  tasks: ['lib/aws', 'lib/postgres', 'lib/core'],
  local: [],
  bin: ['lib/cli', 'lib/stacks', 'lib/config', 'lib/core'],
};

/** Files at the root that a folder may import beside: the app reads the feature flags of cdk.json. */
const files: Record<string, readonly string[]> = { 'lib/stacks': ['cdk.json'] };

const folderOf = (path: string): string | undefined =>
  Object.keys(may).find((folder) => path === folder || path.startsWith(`${folder}/`));

const sources = Object.keys(may).flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.m?ts$/.test(name))
    .map((name) => ({ folder, path: join(folder, name) })),
);

/** What a source imports by a relative path, as paths from the root. */
function ownImports(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)\s[^;]*?from\s+'(\.[^']+)'|^import\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm),
  ];
  return specifiers.map((match) =>
    relative(root, resolve(root, dirname(path), match.slice(1).find(Boolean) as string)),
  );
}

const packagesOf = (path: string): string[] =>
  [...readFileSync(join(root, path), 'utf8').matchAll(/^(?:import|export)\s(?!type)[^;]*?from\s+'([^.'][^']*)'/gm)].map(
    (match) => match[1] as string,
  );

test('there is something to check', () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(sources.flatMap(({ path }) => ownImports(path)).length).toBeGreaterThan(20);
});

test('every folder imports only what lies below it', () => {
  const violations = sources.flatMap(({ folder, path }) =>
    ownImports(path)
      .filter((target) => {
        const other = folderOf(target);
        if (other === undefined) return !(files[folder] ?? []).includes(target);
        return other !== folder && !may[folder]?.includes(other);
      })
      .map((target) => `${path} imports ${target}`),
  );
  expect(violations).toEqual([]);
});

test('the core is pure: of packages it knows zod alone', () => {
  const packages = sources.filter(({ folder }) => folder === 'lib/core').flatMap(({ path }) => packagesOf(path));
  expect([...new Set(packages)].filter((name) => name !== 'zod' && name !== 'node:crypto')).toEqual([]);
});

test('only define-handler.ts knows middy', () => {
  const knowing = sources.filter(({ path }) => packagesOf(path).some((name) => name.startsWith('@middy/')));
  expect(knowing.map(({ path }) => path)).toEqual(['lambdas/define-handler.ts']);
});

test('what runs in the cloud never asks whether it is local', () => {
  const cloud = sources.filter(({ folder }) => /^(lambdas|tasks|lib\/(aws|core|postgres))$/.test(folder));
  const asking = cloud.filter(({ path }) =>
    /AWS_ENDPOINT_URL|\bis_?local\b/i.test(readFileSync(join(root, path), 'utf8')),
  );
  expect(asking.map(({ path }) => path)).toEqual([]);
});
