import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import {
  type DescribeExecutionOutput,
  ListExecutionsCommand,
  RedriveExecutionCommand,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { listKeys, readBackup } from '../../lib/cli/evidence.ts';
import { followExecution } from '../../lib/cli/follow.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import {
  database,
  type Rehearsal,
  region,
  restoreSecret,
  startRehearsal,
  system,
} from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { scheduleName, settingsParameterName } from '../../lib/config/names.ts';
import { lineagePrefix } from '../../lib/core/keys.ts';
import type { Workflow } from '../../lib/core/outcome.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { awaitHeartbeat, byTask, isSecondPart, strikeOnce, workers } from '../local/rehearsal-strikes.ts';

/**
 * What backups and restore tests survive, and what they leave when they do not. Faults that end by a name at once are in
 * test/faults; these take several runs, or what only a machine of its own has. In each there is a right manifest in the
 * end, or none: right is what a restore test proves.
 */

/** Gives a directory a small disk of its own. */
const mount = (directory: string, size: string) =>
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', directory], { stdio: 'pipe' });

const mountable = (() => {
  const directory = mkdtempSync(join(tmpdir(), 'pgdr-mount-'));
  try {
    mount(directory, '1m');
    execFileSync('umount', [directory]);
    return true;
  } catch {
    console.warn('\nSKIPPED: this user may not mount a small disk, so that none could be filled. Try: as root\n');
    return false;
  } finally {
    rmdirSync(directory);
  }
})();

const run = openRunDirectory(join(workDirectory, 'rehearse'), `backup-faults-${process.pid}`);
let rehearsal: Rehearsal;

beforeAll(async () => {
  rehearsal = await startRehearsal({
    postgres: providePostgres(() => {}),
    directory: run.path,
    size: 80_000_000,
    steps: createSteps(createOutput(true)),
    writeLoad: false,
  });
  const { clients, settings } = rehearsal;
  // Every backup uploads everything, and silence is noticed soon.
  const backup = { ...settings.tasks.backup, heartbeatSeconds: 30 };
  const changed = {
    ...settings,
    logical: { ...settings.logical, reuseSeconds: 0 },
    tasks: { ...settings.tasks, backup },
  };
  const Name = settingsParameterName(system, database);
  await clients.ssm.send(new PutParameterCommand({ Name, Value: JSON.stringify(changed), Overwrite: true }));
});
afterAll(async () => {
  await rehearsal?.stop();
  run.close();
});

const manifests = async () => {
  const { clients, settings } = rehearsal;
  const keys = await listKeys(clients, settings.bucket, lineagePrefix(settings));
  return keys.filter((key) => key.endsWith('/manifest.json'));
};

const uploads = async () => {
  const { clients, settings } = rehearsal;
  const { Uploads } = await clients.s3.send(new ListMultipartUploadsCommand({ Bucket: settings.bucket }));
  return (Uploads ?? []).map(({ Key }) => Key);
};

const running = () => workers(rehearsal.cloud).filter(({ lastStatus }) => lastStatus !== 'STOPPED');
const lastTask = () => workers(rehearsal.cloud).at(-1);

const expectProven = async (backupId: string | undefined) => {
  const { failure, outcome } = await rehearsal.run('restore-test');
  expect(failure).toBeUndefined();
  expect(outcome?.proof).toMatchObject({ backupId, level: 'L5' });
};

/** The same workflow again, with nothing done to it. */
const expectNextRight = async () => {
  const { failure, outcome } = await rehearsal.run('backup-logical');
  expect(failure).toBeUndefined();
  await expectProven(outcome?.backup?.id);
};

const follow = async (executionArn: string | undefined): Promise<DescribeExecutionOutput> =>
  (await followExecution(rehearsal.clients.sfn, String(executionArn), { interval: 100 })).execution;

const isPart = (call: ApiCall) => call.operation === 'UploadPart' && byTask('backup')(call);

/** Makes every part take some time, such that an upload outlives what is to happen during it. */
const slowParts = (milliseconds: number) =>
  rehearsal.cloud.intercept(async (call) => {
    if (isPart(call)) await sleep(milliseconds);
  });

describe('S3 that refuses a fifth of all parts', () => {
  it('delays a backup and does not harm it', async () => {
    const requests = { made: 0, refused: 0 };
    const undo = rehearsal.cloud.intercept((call) => {
      if (!/^(UploadPart|PutObject)$/.test(call.operation) || !byTask('backup')(call)) return;
      requests.made += 1;
      if (requests.made % 5 !== 2) return;
      requests.refused += 1;
      const [name, status] = requests.refused % 2 ? (['SlowDown', 503] as const) : (['InternalError', 500] as const);
      throw new AwsError(name, 'one of five', status);
    });
    const backup = await rehearsal.run('backup-logical');
    undo();
    expect(backup.failure).toBeUndefined();
    expect(requests.refused).toBeGreaterThanOrEqual(3);
    const { clients, settings } = rehearsal;
    const { manifest, verification } = await readBackup(
      clients,
      settings.bucket,
      String(backup.outcome?.backup?.manifestKey),
    );
    expect(verification?.parts).toBe(manifest?.objects.reduce((sum, { parts }) => sum + parts.length, 0));
    await expectProven(backup.outcome?.backup?.id);
  });
});

describe('a task whose credentials end during its upload', () => {
  it('goes on with the new ones that its container is given', async () => {
    rehearsal.cloud.setCredentialTerms({ seconds: 3, renewed: true });
    const undo = slowParts(1500);
    const { failure, outcome, seconds } = await rehearsal.run('backup-logical');
    undo();
    rehearsal.cloud.setCredentialTerms({ seconds: 6 * 3600, renewed: true });
    expect(failure).toBeUndefined();
    expect(seconds).toBeGreaterThan(6);
    await expectProven(outcome?.backup?.id);
  });

  it('ends when there are none, says so in its log, and leaves no manifest', async () => {
    const before = await manifests();
    rehearsal.cloud.setCredentialTerms({ seconds: 4, renewed: false });
    const undo = slowParts(3000);
    const { failure } = await rehearsal.run('backup-logical');
    undo();
    rehearsal.cloud.setCredentialTerms({ seconds: 6 * 3600, renewed: true });
    // Nor could it tell the execution.
    expect(failure).toMatchObject({ error: 'TaskUnresponsive', step: 'Take backup' });
    expect(lastTask()?.output.join('\n')).toContain('"error":"CredentialsExpired"');
    expect(await manifests()).toEqual(before);
    expect(running()).toEqual([]);
  });
});

describe('a task that is killed during its upload', () => {
  it('leaves no manifest and no session, is told as unresponsive, and the next backup is right', async () => {
    const before = await manifests();
    const kill = async () => {
      // The container with all that runs in it, as the kernel does it to one that takes too much memory.
      process.kill(-Number(running().at(-1)?.pid), 'SIGKILL');
    };
    const backup = await strikeOnce(rehearsal, () => rehearsal.run('backup-logical'), isPart, kill);
    expect(backup.failure).toMatchObject({ error: 'TaskUnresponsive', step: 'Take backup' });
    expect(await manifests()).toEqual(before);
    expect(running()).toEqual([]);
    const client = await rehearsal.source.server.connect('postgres');
    const sessions = "SELECT FROM pg_stat_activity WHERE application_name ~ '^pgdr( snapshot| fingerprint)?$|^pg_dump'";
    await expect.poll(async () => (await client.query(sessions)).rowCount).toBe(0);
    await client.end();
    await expectNextRight();
  });
});

describe('a backup whose snapshot is lost', () => {
  it('says so, whatever pg_dump makes of it', async () => {
    const before = await manifests();
    const client = await rehearsal.source.server.connect('postgres');
    const end = () =>
      client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgdr snapshot'");
    const { failure } = await strikeOnce(rehearsal, () => rehearsal.run('backup-logical'), isPart, end);
    await client.end();
    expect(failure).toMatchObject({
      error: 'SourceChanged',
      message: expect.stringMatching(
        /session that held the snapshot was lost \(terminating connection .*\); the server answers .* the session alone/,
      ),
    });
    expect(await manifests()).toEqual(before);
  });
});

describe('an execution that is stopped during the upload of its task', () => {
  it('leaves nothing of it, and ends in a right backup when it is redriven', async () => {
    const before = [await manifests(), await uploads()];
    const { clients, settings } = rehearsal;
    const machine = stateMachineArn(settings, region, 'backup-logical');
    let executionArn: string | undefined;
    const stop = async (call: ApiCall) => {
      const list = new ListExecutionsCommand({ stateMachineArn: machine, statusFilter: 'RUNNING' });
      executionArn = (await clients.sfn.send(list)).executions?.[0]?.executionArn;
      await clients.sfn.send(new StopExecutionCommand({ executionArn }));
      await awaitHeartbeat(rehearsal)(call);
    };
    const schedule = () => rehearsal.cloud.scheduler.fire(region, scheduleName(system, database, 'backup-logical'));
    const stopped = await strikeOnce(
      rehearsal,
      async () => follow((await schedule()).executionArn),
      isSecondPart('backup'),
      stop,
    );
    expect(stopped.status).toBe('ABORTED');
    // Nobody stops the task; it finds out for itself, and takes back what it has sent.
    await expect.poll(running, { timeout: 40_000 }).toEqual([]);
    expect(lastTask()?.output.join('\n')).toContain('"error":"ExecutionOver"');
    expect([await manifests(), await uploads()]).toEqual(before);

    await clients.sfn.send(new RedriveExecutionCommand({ executionArn }));
    const { status, output } = await follow(executionArn);
    expect(status).toBe('SUCCEEDED');
    expect(await manifests()).toHaveLength(Number(before[0]?.length) + 1);
    await expectProven(JSON.parse(String(output)).backup.id);
  });
});

describe('a restore test whose disk is full', () => {
  it.runIf(mountable)('says so, and proves nothing', async () => {
    const undo = rehearsal.cloud.ecs.onTask(({ startedBy, lastStatus, directory }) => {
      if (!startedBy?.startsWith('restore-test/')) return;
      // Room for an empty server and its first WAL, not for what is restored.
      if (lastStatus === 'PENDING') mount(directory, '110m');
      if (lastStatus === 'DEPROVISIONING') execFileSync('umount', ['--lazy', directory]);
    });
    const { failure, outcome } = await rehearsal.run('restore-test');
    undo();
    expect(outcome).toBeUndefined();
    expect(failure).toMatchObject({
      error: 'EphemeralServerFailed',
      step: 'Restore and prove',
      message: expect.stringMatching(/^the throwaway server has no disk left: .*could not/),
    });
    await expectProven((await manifests()).at(-1)?.split('/').at(-2));
  });
});

describe('a cloud that goes down and comes back with nothing but its buckets', () => {
  /** In the middle of a workflow, that is: while it makes such a call. */
  const restartDuring = async (workflow: Workflow, isMiddle: (call: ApiCall) => boolean, input: object = {}) => {
    const { cloud, clients, settings } = rehearsal;
    const reached = Promise.withResolvers<void>();
    cloud.intercept(async (call) => {
      if (!isMiddle(call)) return;
      reached.resolve();
      await new Promise(() => {});
    });
    const stateMachine = stateMachineArn(settings, region, workflow);
    await clients.sfn.send(
      new StartExecutionCommand({ stateMachineArn: stateMachine, input: JSON.stringify({ database, ...input }) }),
    );
    await reached.promise;
    await rehearsal.restartCloud();
  };

  it('in the middle of a backup: it left no manifest, and the next one is right', async () => {
    const before = await manifests();
    await restartDuring('backup-logical', isSecondPart('backup'));
    expect(await manifests()).toEqual(before);
    // Nobody was there to take back what it had sent: a rule of the bucket removes that after a day.
    expect(await uploads()).not.toEqual([]);
    await expectNextRight();
  });

  it('in the middle of a restore: what it left is marked, and the same command mends it', async () => {
    const request = { targetSecret: restoreSecret, toDatabase: 'half' };
    await restartDuring(
      'restore',
      (call) => call.operation === 'GetObject' && /tables/.test(String(call.input.Key)),
      request,
    );
    expect(await markOf('half')).toMatch(/^pgdr: incomplete restore of /);
    // Its keys are forgotten too, so that only what is stored from now on can be read.
    const { clients, settings, run: runWorkflow } = rehearsal;
    expect((await runWorkflow('backup-logical')).failure).toBeUndefined();
    const { executionArn } = await clients.sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArn(settings, region, 'restore'),
        input: JSON.stringify({ database, ...request }),
      }),
    );
    const { status, cause } = await follow(executionArn);
    expect([status, cause]).toEqual(['SUCCEEDED', undefined]);
    expect(await markOf('half')).toMatch(/^pgdr: restored from /);
  });
});

async function markOf(name: string): Promise<string | undefined> {
  const client = await rehearsal.source.server.connect('postgres');
  try {
    const mark = "SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = $1";
    return (await client.query(mark, [name])).rows[0]?.mark;
  } finally {
    await client.end();
  }
}
