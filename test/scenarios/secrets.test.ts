import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GetExecutionHistoryCommand, ListExecutionsCommand, ListStateMachinesCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, region, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';

/**
 * No secret is anywhere but where it belongs: every log, environment, argument list, object, state and message of a run
 * of everything that handles one is searched for each of them.
 */

const directory = join(workDirectory, 'rehearse', `secrets-${process.pid}`);
let rehearsal: Rehearsal;
/** By what they are. */
let secrets: Readonly<Record<string, string>>;
/** What processes were started with: arguments and environment. */
const started = new Map<string, string>();
let watching = true;

beforeAll(async () => {
  const watch = watchProcesses();
  rehearsal = await startRehearsal({
    postgres: providePostgres(() => {}),
    directory,
    size: 4_000_000,
    steps: createSteps(createOutput(true)),
    writeLoad: false,
  });
  const { source, webhook } = rehearsal;
  secrets = {
    'the password of the database': source.secret.password,
    'the password of the superuser': source.server.superuser.password,
    'the webhook': new URL(webhook.url).pathname,
  };
  for (const workflow of ['backup-logical', 'restore-test', 'backup-physical'] as const)
    expect((await rehearsal.run(workflow)).failure).toBeUndefined();
  // A failure repeats what it was told by others, at its most talkative.
  await rehearsal.setDatabaseSecret({ ...source.secret, dbname: 'nobody' });
  expect((await rehearsal.run('backup-logical')).succeeded).toBe(false);
  watching = false;
  await watch;
  // Logs are written a moment later.
  await delay(500);
});

afterAll(async () => {
  watching = false;
  await rehearsal?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function watchProcesses(): Promise<void> {
  for (; watching; await delay(15)) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const [command, environment] = ['cmdline', 'environ'].map((file) =>
          readFileSync(`/proc/${pid}/${file}`, 'utf8'),
        );
        // A process that has not become another program yet is looked at again.
        if (command?.includes('\0')) started.set(`${pid} ${command.slice(0, 400)}`, `${command}\n${environment}`);
      } catch {}
    }
  }
}

const foundIn = (where: string, text: string): string[] =>
  Object.entries(secrets)
    .filter(([, secret]) => text.includes(secret) || text.includes(JSON.stringify(secret).slice(1, -1)))
    .map(([name]) => `${name} in ${where}`);

describe('no secret', () => {
  it('is in a file of the cloud: logs, objects with their metadata', () => {
    const files = readdirSync(join(directory, 'cloud'), { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    const paths = files.map((one) => join(one.parentPath, one.name));
    expect(paths.filter((path) => /logs/.test(path)).length).toBeGreaterThan(5);
    expect(paths.filter((path) => /s3/.test(path)).length).toBeGreaterThan(20);
    expect(paths.flatMap((path) => foundIn(path, readFileSync(path, 'latin1')))).toEqual([]);
  });

  it('is in an environment or an argument of any process', () => {
    const commands = [...started.keys()];
    for (const program of ['pg_dump', 'pg_restore', 'tasks/main.ts', 'lambda-bootstrap'])
      expect(
        commands.some((command) => command.includes(program)),
        program,
      ).toBe(true);
    expect([...started].flatMap(([command, text]) => foundIn(command, text))).toEqual([]);
  });

  it('is in the input or output of a state', async () => {
    const { sfn } = rehearsal.clients;
    const { stateMachines = [] } = await sfn.send(new ListStateMachinesCommand({}));
    const found: string[] = [];
    let seen = 0;
    for (const { stateMachineArn, name } of stateMachines) {
      const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }));
      for (const { executionArn } of executions) {
        const { events } = await sfn.send(new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 }));
        seen += events?.length ?? 0;
        found.push(...foundIn(String(name), JSON.stringify(events)));
      }
    }
    expect(seen).toBeGreaterThan(100);
    expect(found).toEqual([]);
  });

  it('is in a call of an API, but to the keeper of secrets, nor in a message', () => {
    const calls = rehearsal.cloud.calls();
    expect(calls.some(({ operation }) => operation === 'RunTask')).toBe(true);
    expect(calls.some(({ operation }) => operation === 'Publish')).toBe(true);
    const others = calls.filter(({ service }) => service !== 'secretsmanager');
    expect(others.flatMap(({ operation, input }) => foundIn(operation, JSON.stringify(input)))).toEqual([]);
    expect(rehearsal.webhook.messages.length).toBeGreaterThan(3);
    expect(foundIn('Slack', JSON.stringify(rehearsal.webhook.messages))).toEqual([]);
    expect(rehearsal.cloud.logs.lines(region, '/rehearsal/pgdr/tasks').length).toBeGreaterThan(10);
  });
});
