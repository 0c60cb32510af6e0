import { setTimeout as sleep } from 'node:timers/promises';
import { ListTasksCommand } from '@aws-sdk/client-ecs';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { clusterName, receiverName } from '../../../config/names.ts';
import { lineagePrefix } from '../../../core/keys.ts';
import type { ProofReport } from '../../../core/proof.ts';
import { listKeys, readMetrics, readObject } from '../../evidence.ts';
import { backupRole } from '../demo-database.ts';
import { database, type Rehearsal, system, type WorkflowRun } from '../rehearsal.ts';
import type { RehearsalCheck } from '../verdict.ts';
import { plainText } from '../webhook.ts';
import type { Fault } from './fault.ts';

/** What must be true after every fault: the named end, told everywhere, and nothing left that could be mistaken. */
export async function checkFault(
  rehearsal: Rehearsal,
  fault: Fault,
  run: WorkflowRun,
  keysBefore: ReadonlySet<string>,
  struck: string | undefined,
): Promise<RehearsalCheck[]> {
  return [
    check('the fault struck', struck !== undefined, struck ?? 'it never did'),
    ...toldByExecution(fault, run),
    await toldByMetric(rehearsal, fault, run),
    toldBySlack(fault, run),
    // First, for a task that still runs may still write or clean up.
    await noTaskRuns(rehearsal),
    ...(await storedState(rehearsal, fault, keysBefore)),
    await noSessionIsLeft(rehearsal),
  ];
}

export const keysOf = async ({ clients, settings }: Rehearsal): Promise<ReadonlySet<string>> =>
  new Set(await listKeys(clients, settings.bucket, lineagePrefix(settings)));

function toldByExecution(fault: Fault, { execution, failure }: WorkflowRun): RehearsalCheck[] {
  const message = failure?.message ?? execution.cause ?? '';
  const named = message !== '' && (fault.expectedMessage?.test(message) ?? true);
  return [
    check('the execution FAILED', execution.status === 'FAILED', execution.status ?? ''),
    check(`its error is ${fault.expectedError}`, execution.error === fault.expectedError, execution.error ?? 'none'),
    check(
      `the cause says what happened${fault.expectedMessage ? ` (${fault.expectedMessage.source})` : ''}`,
      named && Boolean(failure?.step && failure.tryNext && failure.intact),
      `${failure?.step ?? 'no step'}: ${message}`,
    ),
  ];
}

async function toldByMetric({ clients }: Rehearsal, { workflow }: Fault, run: WorkflowRun): Promise<RehearsalCheck> {
  const name = workflow === 'backup-logical' ? 'BackupSucceeded' : 'RestoreTestSucceeded';
  const value = (await readMetrics(clients, database, run.startedAt))[name];
  return check(`metric ${name} = 0`, value === 0, String(value ?? 'not published'));
}

function toldBySlack(fault: Fault, { slack, failure }: WorkflowRun): RehearsalCheck {
  if (slack === undefined) return check('Slack was told', false, 'no message came');
  const text = `${slack.text}\n${plainText(slack)}`;
  const missing = [fault.expectedError, failure?.step ?? '?', firstWords(failure?.message)].filter(
    (part) => !text.includes(part),
  );
  return check(
    'Slack names the step and its first error',
    missing.length === 0,
    missing.length > 0 ? `lacks ${missing.join('; ')}` : slack.text,
  );
}

/** The beginning of a message, without what Slack's escaping changes. */
const firstWords = (message: string | undefined): string =>
  (message ?? '?')
    .split(/[&<>`\n]/)[0]
    ?.slice(0, 60)
    .trim() ?? '';

async function storedState(rehearsal: Rehearsal, fault: Fault, before: ReadonlySet<string>): Promise<RehearsalCheck[]> {
  const { clients, settings } = rehearsal;
  const uploads = await clients.s3.send(new ListMultipartUploadsCommand({ Bucket: settings.bucket }));
  const left = uploads.Uploads ?? [];
  const fresh = [...(await keysOf(rehearsal))].filter((key) => !before.has(key));
  const ending = (name: string) => fresh.filter((key) => key.endsWith(name));
  const checks = [
    check(
      'no multipart upload is left',
      left.length === 0,
      left.length === 0 ? 'none' : left.map((upload) => upload.Key).join(', '),
    ),
    check(
      'nothing counts as verified',
      ending('/verification.json').length === 0,
      ending('/verification.json').join(', ') || 'no verification.json',
    ),
  ];
  if (fault.workflow === 'restore-test') {
    const texts = await Promise.all(
      fresh.filter((key) => /\/proofs\/[^/]+\.json$/.test(key)).map((key) => readObject(clients, settings.bucket, key)),
    );
    const held = texts.filter((text) => text !== undefined && (JSON.parse(text) as ProofReport).holds);
    checks.push(
      check(
        'no report says that the proof holds',
        held.length === 0,
        `${texts.length} report(s), ${held.length} of them held`,
      ),
    );
  } else if (!damagedLater.has(fault.name)) {
    const manifests = ending('/manifest.json');
    checks.push(check('no manifest was written', manifests.length === 0, manifests.join(', ') || 'none'));
  }
  return checks;
}

/** Faults that strike a backup after its manifest. */
const damagedLater: ReadonlySet<string> = new Set(['flip-byte', 'truncated-object']);

/** A task that was told to stop aborts its uploads and ends; that takes a second or two. */
const patienceSeconds = 30;

/** A service, which no fault of a backup is to end. */
const receiver = receiverName(system, database);

async function noTaskRuns({ clients, cloud, settings }: Rehearsal): Promise<RehearsalCheck> {
  for (let waited = 0; ; waited += 0.25) {
    const { taskArns } = await clients.ecs.send(
      new ListTasksCommand({ cluster: clusterName(settings.system), desiredStatus: 'RUNNING' }),
    );
    const tasks = cloud.ecs.tasks().filter(({ family }) => family !== receiver);
    const wanted = tasks.filter(({ taskArn }) => taskArns?.includes(taskArn)).length;
    const alive = tasks.filter((task) => task.lastStatus !== 'STOPPED').length;
    if (wanted + alive === 0) return check('no task is left', true, 'none');
    if (waited >= patienceSeconds) return check('no task is left', false, `${wanted} wanted, ${alive} not stopped`);
    await sleep(250);
  }
}

/** Names of the sessions that the receiver of WAL keeps (tasks/wal). */
const ofTheReceiver = ['pgdr heartbeat', 'pgdr slot', 'pgdr_orders'];

async function noSessionIsLeft({ source }: Rehearsal): Promise<RehearsalCheck> {
  const name = 'no session of the backup role is left';
  const admin = await source.server.connect(source.name);
  try {
    for (let waited = 0; ; waited += 0.25) {
      const { rows } = await admin.query(
        'SELECT pid, application_name, state FROM pg_stat_activity WHERE usename = $1 AND application_name <> ALL ($2)',
        [backupRole, ofTheReceiver],
      );
      if (rows.length === 0) return check(name, true, 'none');
      if (waited >= 10)
        return check(name, false, rows.map((row) => `${row.application_name} (${row.state})`).join(', '));
      await sleep(250);
    }
  } finally {
    await admin.end();
  }
}

const check = (name: string, ok: boolean, detail: string): RehearsalCheck => ({ name, ok, detail });
