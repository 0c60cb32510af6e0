import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../lib/cli/program.ts';
import { alarmCatalogue } from '../../lib/core/alarms.ts';
import { errorCatalogue } from '../../lib/core/errors.ts';
import { dimensionOf, type MetricName, metricCatalogue } from '../../lib/core/metrics.ts';
import { type PlatformAlarm, platformAlarms } from '../../lib/core/platform-alarms.ts';

const pages = ['README.md', 'SECURITY.md', ...globSync('docs/**/*.md')];

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
      ([name, { unit, meaning, by }]) =>
        `| \`${name}\` | ${dimensionOf(name as MetricName)} | ${unit} | ${meaning} | ${by.join(', ')} |`,
    );
    const text = [
      '# Metrics',
      '',
      'Namespace `pgdr`. Made from `lib/core/metrics.ts`. [Alarms](alarms.md) watch them.',
      '',
      '| Metric | Dimension | Unit | Meaning | Published by |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ];
    await expect(text.join('\n')).toMatchFileSnapshot('../../docs/metrics.md');
  });

  it('lists the alarms of the catalogues (vitest -u rewrites it)', async () => {
    const silence = { breaching: 'alarms', notBreaching: 'is well', ignore: 'changes nothing' };
    const page = (runbook: string) => `[${runbook}](runbooks/${runbook}.md)`;
    const rows = Object.entries(alarmCatalogue).map(
      ([
        id,
        {
          metric,
          thresholdText,
          periods: [m, n],
          periodSeconds,
          missing,
          severity,
          needs,
          explainedBy = [],
          explainedByPlatform = [],
          runbook,
        },
      ]) =>
        `| \`${id}\` | \`${metric}\` | ${thresholdText} | ${m} of ${n} × ${periodSeconds / 60} min | ${silence[missing]} | ${severity} | ` +
        `${needs} | ${[...explainedBy, ...explainedByPlatform].join(', ')} | ${page(runbook)} |`,
    );
    const platform = Object.entries(platformAlarms as Record<string, PlatformAlarm>).map(
      ([id, { says, namespace, metric, missing, severity, quiet, runbook }]) =>
        `| \`${id}\` | ${says} | \`${namespace}\` \`${metric}\` | ${silence[missing]} | ${quiet ? 'shown, not told' : severity} | ${page(runbook)} |`,
    );
    const text = [
      '# Alarms',
      '',
      'Made from `lib/core/alarms.ts` and `lib/core/platform-alarms.ts`, and a test holds them together. Every change of state',
      'goes to the topic `{system}-alarms`, and from there to Slack, mailboxes and HTTPS endpoints',
      '([notifications](configuration.md#notifications)), with the link of its runbook. An alarm that others *explain* waits',
      'while one of them is on: one incident, one page.',
      '',
      '## Of a database',
      '',
      '`{system}-{database}-{id}`, in the region that watches it; a `-page` behind it is the composite that tells.',
      '',
      '| Alarm | Metric | When above (below for what counts) | Held for | Silence | Severity | Needs | Explained by | Runbook |',
      '|---|---|---|---|---|---|---|---|---|',
      ...rows,
      '',
      '## Of pgdr itself',
      '',
      '`{system}-platform-{id}`, in both regions.',
      '',
      '| Alarm | Says | Metric | Silence | Severity | Runbook |',
      '|---|---|---|---|---|---|',
      ...platform,
      '',
    ];
    await expect(text.join('\n')).toMatchFileSnapshot('../../docs/alarms.md');
  });

  it('has a runbook for every alarm', () => {
    for (const { runbook } of [...Object.values(alarmCatalogue), ...Object.values(platformAlarms)])
      expect(existsSync(`docs/runbooks/${runbook}.md`), runbook).toBe(true);
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
