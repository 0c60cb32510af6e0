import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, stateDirectory, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import type { RehearsalResult } from '../../lib/cli/rehearse/result.ts';

/** The command line from outside, as a person or a pipeline runs it. */

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without the variables by which this test's own environment could choose an AWS. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS_|PGDR_CONFIG|VITEST)/.test(name)));
}

function pgdr(...args: string[]): ChildProcess & { readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(root, 'bin', 'pgdr.ts'), ...args], { cwd: root, env: environment() });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((done) => child.on('close', (code) => done({ code, stdout, stderr })));
  return Object.assign(child, { ended });
}

const directory = mkdtempSync(join(tmpdir(), 'rehearse-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('pgdr rehearse --json', () => {
  const report = join(directory, 'deep', 'report.html');
  const runs = () => (existsSync(join(workDirectory, 'rehearse')) ? readdirSync(join(workDirectory, 'rehearse')) : []);
  let before: string[];
  let ended: Ended;
  let result: RehearsalResult;

  beforeAll(async () => {
    before = runs();
    // The failover is that of the main job in .ci/run, and of test/scenarios.
    ended = await pgdr('rehearse', '--json', '--no-failover', '--size', '40MB', '--report', report).ended;
    result = JSON.parse(ended.stdout);
  });

  it('ends with exit code 0 and one line of JSON', () => {
    expect(result.error).toBeUndefined();
    expect(result.checks.filter((check) => !check.ok)).toEqual([]);
    expect(ended.code).toBe(0);
    expect(ended.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(result.ok).toBe(true);
  });

  it('proves every table of real data equal', () => {
    expect(result.sourceBytes).toBeGreaterThanOrEqual(40_000_000);
    expect(result.proof).toMatchObject({
      level: expect.stringMatching(/^L[45]$/),
      holds: true,
      backupId: result.backup?.id,
    });
    expect(result.proof?.perTable.length).toBe(result.backup?.tables);
    expect(result.proof?.perTable.every((table) => table.hashesEqual && table.rows === table.expectedRows)).toBe(true);
    const names = result.proof?.perTable.map(({ relation }) => relation);
    expect(names).toEqual(
      expect.arrayContaining([
        'public.customers',
        'public.events_2026_01',
        'sales.invoices',
        'public."Weird ""Name"" ü"',
        'public.no_columns',
      ]),
    );
  });

  it('measures RPO and RTO, and publishes them', () => {
    expect(result.rpoSeconds).toBeGreaterThan(0);
    expect(result.rtoSeconds).toBeGreaterThan(result.proof?.restoreSeconds ?? Number.POSITIVE_INFINITY);
    expect(result.metrics).toMatchObject({
      BackupSucceeded: 1,
      RestoreTestSucceeded: 1,
      ProofLevel: Number(result.proof?.level?.slice(1)),
      BackupBytes: result.backup?.bytes,
      MeasuredRpoSeconds: result.rpoSeconds,
    });
  });

  it('shows the states of both workflows with their time', () => {
    const names = (group: string) =>
      result.steps.filter((step) => step.group === group && !step.inner).map((step) => step.name);
    expect(names('backup-logical')).toEqual([
      'Read settings',
      'Take backup',
      'Plan verification',
      'Verify objects',
      'Confirm verification',
      'Record success',
      'Announce success',
      'Backup verified',
    ]);
    expect(names('restore-test')).toEqual([
      'Read settings',
      'Restore and prove',
      'Record success',
      'Announce success',
      'Restore proven',
    ]);
    expect(result.steps.every((step) => step.ok && step.seconds >= 0)).toBe(true);
    expect(ended.stderr).toContain('✓ Take backup');
  });

  it('tells Slack twice', () => {
    expect(
      result.slack.messages.map(({ text }) => text).filter((text) => /Backup taken|Restore proven/.test(text)),
    ).toEqual([expect.stringContaining('Backup taken and verified'), expect.stringContaining('Restore proven')]);
  });

  it('writes a report that stands alone, and removes the rest', () => {
    expect(result.reportPath).toBe(report);
    const page = readFileSync(report, 'utf8');
    expect(page).toContain(`Backup restored and proven equal to ${result.proof?.level}`);
    expect(page).not.toMatch(/<script|https?:\/\/(?!127\.0\.0\.1)[^<]*<\/(link|img)/);
    expect(runs()).toEqual(before);
  });
});

describe('pgdr up', () => {
  const file = join(stateDirectory, 'up.env');
  let up: ReturnType<typeof pgdr>;
  let ready: { endpoint: string; bucket: string; postgres: { port: number } };

  beforeAll(async () => {
    up = pgdr('up', '--json', '--size', '2MB');
    const lines = createInterface({ input: up.stdout as NodeJS.ReadableStream });
    ready = await new Promise((done, failed) => {
      lines.once('line', (line: string) => done(JSON.parse(line)));
      void up.ended.then(({ code, stderr }) => failed(new Error(`pgdr up ended with ${code}: ${stderr}`)));
    });
  });

  afterAll(async () => {
    up.kill('SIGINT');
    const { code } = await up.ended;
    expect(code).toBe(130);
    expect(existsSync(file)).toBe(false);
    await expect(fetch(ready.endpoint)).rejects.toThrow();
  });

  it('says where it is, and tells the other commands', () => {
    expect(ready.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain(ready.endpoint);
  });

  it('refuses a second one', async () => {
    const { code, stdout } = await pgdr('up', '--json').ended;
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { name: 'AlreadyUp' } });
  });

  it('lists no backups at first, takes one, proves it, and lists it', async () => {
    const none = await pgdr('list', 'orders', '--json').ended;
    expect([none.code, JSON.parse(none.stdout)]).toEqual([0, []]);
    expect(none.stderr).toContain(`Using the local cloud of \`pgdr up\` at ${ready.endpoint}`);

    const backup = await pgdr('backup', 'orders', '--json').ended;
    expect(JSON.parse(backup.stdout)).toMatchObject({ ok: true, status: 'SUCCEEDED', workflow: 'backup-logical' });
    expect(backup.code).toBe(0);
    const { id } = JSON.parse(backup.stdout).outcome.backup;

    const restore = await pgdr('restore-test', 'orders', '--backup', id).ended;
    expect(restore.stdout).toMatch(/Proof\s+L[45]/);
    expect(restore.code).toBe(0);

    const one = await pgdr('list', 'orders', '--json').ended;
    expect(JSON.parse(one.stdout)).toMatchObject([
      { id, provenLevel: expect.stringMatching(/^L[45]$/), verifiedAt: expect.stringMatching(/Z$/) },
    ]);
    const table = await pgdr('list', 'orders').ended;
    expect(table.stdout).toMatch(new RegExp(`${id}.*L[45]`));
  });

  it('does not wait when told so', async () => {
    const { code, stdout } = await pgdr('backup', 'orders', '--no-wait', '--json').ended;
    expect([code, JSON.parse(stdout).status]).toEqual([0, 'RUNNING']);
  });

  it('fails with the failing step when a backup does not exist', async () => {
    const { code, stdout } = await pgdr('restore-test', 'orders', '--backup', '20200101T000000Z-000000', '--json')
      .ended;
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      status: 'FAILED',
      error: { name: 'BackupNotFound', step: 'Restore and prove' },
    });
    expect(code).toBe(4);
  });

  it('knows no other database', async () => {
    for (const command of ['list', 'backup', 'restore-test']) {
      const { code, stdout } = await pgdr(command, 'nosuch', '--json').ended;
      expect([command, code]).toEqual([command, 4]);
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { name: 'UnknownDatabase' } });
    }
  });
});

describe('bad usage', () => {
  it.each([
    [['frobnicate']],
    [['list']],
    [['rehearse', '--size', '3']],
    [['rehearse', '--fault', 'none-such']],
    [['up', '--port', 'x']],
  ])('%j is exit 2', async (args) => {
    const { code, stderr } = await pgdr(...args).ended;
    expect(code).toBe(2);
    expect(stderr).not.toBe('');
  });
});
