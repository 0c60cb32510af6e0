import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutput } from '../../lib/cli/output.ts';
import { root, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, region, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { writeUpEnvironment } from '../../lib/cli/up-environment.ts';
import { type Command, namedCommands, readCommands, usedCommands } from './aws-cli-page.ts';
import { describeWithPeers } from './peers.ts';

/** docs/local-cloud.md, executed: its commands, in its order, in one shell, against the deployed rehearsal app. */
const page = readFileSync(join(root, 'docs', 'local-cloud.md'), 'utf8');
const commands = readCommands(page);

describe('docs/local-cloud.md', () => {
  test('lists exactly the commands that it shows', () => {
    expect(commands.length).toBeGreaterThan(50);
    expect(usedCommands(commands)).toEqual(namedCommands(page));
  });

  test('has a row for every facade, and for nothing else', () => {
    const facades = readdirSync(join(root, 'local', 'facades'))
      .filter((name) => name.endsWith('.ts') && name !== 'iam-managed-policies.ts')
      .map((name) => name.replace('.ts', ''));
    const table = page.split('| Facade | What it does | What it leaves out |')[1]?.split('\n\n')[0] ?? '';
    const rows = [...table.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, name]) => name);
    expect(rows.sort()).toEqual(facades.sort());
  });
});

describeWithPeers('aws, the command line', ['aws'], (aws) => {
  let rehearsal: Rehearsal;
  let folder: string;
  let slackMessages: number;

  beforeAll(async () => {
    rehearsal = await startRehearsal({
      postgres: providePostgres((line) => console.warn(line)),
      directory: join(workDirectory, 'aws-cli'),
      // Large enough for a backup to be stopped while it runs.
      size: 30_000_000,
      steps: createSteps(createOutput(true)),
    });
    folder = join(rehearsal.directory, 'shell');
    mkdirSync(folder);
    writeUpEnvironment(join(folder, '.pgdr', 'up.env'), process.pid, rehearsal.cloud.environment(region));
    await runAll(commands, folder, aws);
    slackMessages = rehearsal.webhook.messages.length;
  }, 540_000);

  afterAll(async () => {
    await rehearsal?.stop();
    if (rehearsal) rmSync(rehearsal.directory, { recursive: true, force: true });
  });

  test.each(commands.map((command) => [command.index, command.text, command] as const))(
    '%i. %s',
    (...[, , command]) => {
      const { index, failsWith, holds } = command;
      const result = (name: string) => join(folder, `${index}.${name}`);
      expect(existsSync(result('code')), 'it was never reached').toBe(true);
      const output = [readFileSync(result('out'), 'utf8'), readFileSync(result('err'), 'utf8')].join('\n');
      const code = Number(readFileSync(result('code'), 'utf8'));
      if (failsWith === undefined) expect(code, output).toBe(0);
      else expect(code, output).not.toBe(0);
      const plain = output.replace(/\s+/g, ' ');
      for (const text of [...holds, ...(failsWith === undefined ? [] : [failsWith])]) expect(plain).toContain(text);
    },
  );

  test('what was published reached Slack, beside the message of the backup itself', () => {
    expect(slackMessages).toBeGreaterThanOrEqual(2);
  });
});

/** One shell runs all of it, so that variables live on; each command leaves its output and exit code in files. */
function runAll(all: readonly Command[], folder: string, aws: string): Promise<void> {
  const steps = all.map(({ index, text }) => `{\n${text}\n} >${index}.out 2>${index}.err\necho $? >${index}.code`);
  const { LANG, HOME, PATH } = process.env;
  const child = spawn('bash', ['-c', steps.join('\n')], {
    cwd: folder,
    stdio: 'ignore',
    // Nothing else of the environment may choose an AWS.
    env: {
      LANG,
      HOME,
      PATH: [dirname(aws), PATH].join(delimiter),
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_PAGER: '',
    },
  });
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', () => done());
  });
}
