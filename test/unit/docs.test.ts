import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../lib/cli/program.ts';
import { errorCatalogue } from '../../lib/core/errors.ts';
import { metricCatalogue } from '../../lib/core/metrics.ts';

const pages = ['README.md', ...globSync('docs/**/*.md')];

describe('the documentation', () => {
  it('lists the errors of the catalogue (vitest -u rewrites it)', async () => {
    const rows = Object.entries(errorCatalogue).map(
      ([name, { meaning, intact, tryNext, runbook }]) =>
        `| \`${name}\` | ${meaning} | ${intact} | ${tryNext} | [${runbook}](runbooks/${runbook}.md) |`,
    );
    const text = [
      '# Errors',
      '',
      'Every failure ends in one of these names: in the Step Functions console, in Slack, on the command line, in reports.',
      'The page is made from `lib/core/errors.ts`, and a test holds the two together.',
      '',
      '| Name | What it means | What is intact | What to try | Runbook |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
    await expect(text).toMatchFileSnapshot('../../docs/errors.md');
  });

  it('lists the metrics of the catalogue (vitest -u rewrites it)', async () => {
    const rows = Object.entries(metricCatalogue).map(
      ([name, { unit, meaning }]) => `| \`${name}\` | ${unit} | ${meaning} |`,
    );
    const text = [
      '# Metrics',
      '',
      'Namespace `pgdr`, dimension `Database`. Made from `lib/core/metrics.ts`.',
      '',
      '| Metric | Unit | Meaning |',
      '|---|---|---|',
      ...rows,
      '',
    ];
    await expect(text.join('\n')).toMatchFileSnapshot('../../docs/metrics.md');
  });

  it.each(pages)('%s links only to what exists', (page) => {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(
      (match) => match[1] as string,
    );
    for (const link of links) expect(existsSync(join(dirname(page), link)), `${page} → ${link}`).toBe(true);
  });

  it.each(pages)('%s shows only commands that pgdr takes', (page) => {
    for (const line of shellLines(readFileSync(page, 'utf8'))) {
      const words = /^npx pgdr (.*)$/.exec(line)?.[1]?.split(' ') ?? [];
      const [name] = words;
      if (name === undefined || name.startsWith('-')) continue;
      const command = createProgram(async () => {}).commands.find((one) => one.name() === name);
      expect(command, `${page}: ${line}`).toBeDefined();
      expect(command?.parseOptions(words.slice(1)).unknown, `${page}: ${line}`).toEqual([]);
    }
  });

  it.each(pages)('%s shows only npm scripts that exist', (page) => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const line of shellLines(readFileSync(page, 'utf8'))) {
      const script = /^npm (?:run )?([a-z:]+)/.exec(line)?.[1];
      if (script && !['ci', 'install'].includes(script))
        expect(Object.keys(scripts), `${page}: ${line}`).toContain(script);
    }
  });

  it('has a runbook for every error', () => {
    for (const { runbook } of Object.values(errorCatalogue))
      expect(existsSync(`docs/runbooks/${runbook}.md`)).toBe(true);
  });
});

/** The lines of all shell blocks, without their comments. */
const shellLines = (text: string): string[] =>
  [...text.matchAll(/^\s*```sh\n(.*?)```/gms)].flatMap((block) =>
    (block[1] as string).split('\n').map((line) => line.replace(/\s+#.*$/, '').trim()),
  );
