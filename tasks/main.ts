import './whole-collections.ts';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openTaskToken, type TaskToken } from '../lib/aws/task-token.ts';
import { describeFailure, PgdrError, toFailure } from '../lib/core/errors.ts';
import { parseSettings } from '../lib/core/settings.ts';
import { backupLogical } from './backup-logical.ts';
import { backupPhysical } from './backup-physical.ts';
import { drill } from './drill.ts';
import { type Job, JobFailure } from './job.ts';
import { bindLog, log } from './log.ts';
import { recoverJob } from './recover-job.ts';
import { restoreJob } from './restore-job.ts';
import { restoreTest } from './restore-test.ts';
import { restoreTestPhysical } from './restore-test-physical.ts';

/**
 * The entry point of the task container: the job's name is the argument, its input and the task token are in the
 * environment. Whatever the job, the execution hears of it every few seconds, and hears its end exactly once.
 *
 * By hand (`pgdr restore --from-bucket`) there is no execution: PGDR_BY_HAND names the directory that gets the outcome
 * and the reports instead.
 */

/** Far below the wait of the state machines (`heartbeatTimeout`, 30 s at the least), so that a few may be lost. */
const heartbeatMilliseconds = 10_000;

const jobs: Readonly<Record<string, Job>> = {
  'backup-logical': backupLogical,
  'backup-physical': backupPhysical,
  drill,
  recover: recoverJob,
  'restore-test': restoreTest,
  'restore-test-physical': restoreTestPhysical,
  restore: restoreJob,
};

async function main(jobName: string): Promise<void> {
  const byHand = process.env.PGDR_BY_HAND;
  const token = byHand ? filed(byHand) : openTaskToken(process.env.PGDR_TASK_TOKEN ?? '');
  const stop = new AbortController();
  const stopWith = (reason: unknown) => stop.abort(reason);
  process.once('SIGTERM', () => stopWith(new PgdrError('ExecutionOver', 'the task was told to stop')));
  const heart = beat(token, stopWith);
  const directory = await mkdtemp(join(tmpdir(), 'pgdr-'));
  try {
    const job = jobs[jobName];
    if (!job) throw new PgdrError('SettingsInvalid', `no such job: ${jobName}`);
    const input = parseInput(process.env.PGDR_JOB_INPUT);
    const settings = parseSettings(input.settings);
    bindLog({ job: jobName, database: settings.database, execution: (input.execution as { arn?: string })?.arn });
    const output = await job({
      settings,
      input,
      directory,
      attempt: randomBytes(3).toString('hex'),
      signal: stop.signal,
      ...(byHand && { keepReport: (name: string, body: Buffer) => writeFile(join(byHand, basename(name)), body) }),
      stillWanted: async () => {
        stop.signal.throwIfAborted();
        await token.heartbeat();
      },
    });
    await token.succeed(output);
    log('job succeeded');
  } catch (thrown) {
    // When the task was stopped, that is the reason; what failed because of the stop is only its echo.
    const failure = toFailure(stop.signal.aborted ? stop.signal.reason : thrown);
    log('job failed', { job: jobName, ...failure });
    process.exitCode = 1;
    const details = thrown instanceof JobFailure ? thrown.details : {};
    await token.fail({ ...failure, ...details }).catch((error) => {
      log('the execution could not be told', { reason: (error as Error).name });
    });
  } finally {
    clearInterval(heart);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Tells an outcome by a file. */
function filed(directory: string): TaskToken {
  const tell = (outcome: object) => writeFile(join(directory, 'outcome.json'), JSON.stringify(outcome));
  return { heartbeat: async () => {}, succeed: (output) => tell({ output }), fail: (failure) => tell({ failure }) };
}

function beat(token: TaskToken, stopWith: (reason: unknown) => void): NodeJS.Timeout {
  return setInterval(() => {
    token.heartbeat().catch((error) => {
      if (error instanceof PgdrError) stopWith(error);
      else log('a heartbeat was not taken', { reason: (error as Error).name });
    });
  }, heartbeatMilliseconds);
}

function parseInput(text: string | undefined): Record<string, unknown> {
  try {
    return JSON.parse(text ?? '');
  } catch (cause) {
    const { message } = describeFailure('SettingsInvalid', 'PGDR_JOB_INPUT is not JSON');
    throw new PgdrError('SettingsInvalid', message, { cause });
  }
}

await main(process.argv[2] ?? '');
