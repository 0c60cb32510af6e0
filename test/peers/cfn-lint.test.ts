import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configPath, loadConfig } from '../../lib/config/load.ts';
import { buildApp } from '../../lib/stacks/build-app.ts';
import { describeWithPeers } from './peers.ts';

/**
 * AWS's own linter of templates, on both regions' stacks.
 * Its known bugs, as of 1.58:
 * - E3601 knows no JSONata in a Task's TimeoutSeconds and HeartbeatSeconds, which the Amazon States Language allows.
 * - W3005 calls the library's DependsOn on a role's policy redundant, for it names the role beside it.
 */
const knownBugs = [/^E3601 '\{% .* %\}' is not of type 'number' at '.*\/(Timeout|Heartbeat)Seconds'$/, /^W3005 /];

interface Finding {
  readonly Rule: { readonly Id: string };
  readonly Message: string;
}

describeWithPeers('cfn-lint', ['cfn-lint'], (linter) => {
  const folder = mkdtempSync(join(tmpdir(), 'pgdr-cfn-lint-'));
  let templates: string[];

  function lint(files: readonly string[]): string[] {
    const { stdout, stderr } = spawnSync(linter, ['--format', 'json', '--', ...files], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    if (!stdout.startsWith('[')) throw new Error(`cfn-lint gave no report: ${stderr}`);
    return (JSON.parse(stdout) as Finding[]).map(({ Rule, Message }) => `${Rule.Id} ${Message}`);
  }

  beforeAll(async () => {
    const outdir = join(folder, 'cdk.out');
    buildApp(await loadConfig(configPath()), { outdir, context: { 'aws:cdk:bundling-stacks': [] } }).synth();
    templates = readdirSync(outdir)
      .filter((name) => name.endsWith('.template.json'))
      .map((name) => join(outdir, name));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('it is there and says which it is', () => {
    expect(execFileSync(linter, ['--version'], { encoding: 'utf8' })).toMatch(/cfn-lint \d/);
  });

  test('the templates as they are deployed have no finding', () => {
    expect(templates).toHaveLength(4);
    expect(lint(templates)).toEqual([]);
  });

  test('what the templates ask it to overlook are its known bugs and nothing more', () => {
    const plain = templates.map((path) => {
      const copy = path.replace('.template.json', '.plain.json');
      writeFileSync(copy, readFileSync(path, 'utf8').replaceAll('"cfn-lint"', '"not-cfn-lint"'));
      return copy;
    });
    const findings = lint(plain);
    expect(findings.length).toBeGreaterThan(0);
    expect(findings.filter((finding) => !knownBugs.some((bug) => bug.test(finding)))).toEqual([]);
  });

  test('it would have found a mistake', () => {
    const path = join(folder, 'mistake.json');
    writeFileSync(path, JSON.stringify({ Resources: { A: { Type: 'AWS::S3::Bucket', Properties: { Bucket: 'x' } } } }));
    expect(lint([path]).join()).toMatch(/E3002/);
  });
});
