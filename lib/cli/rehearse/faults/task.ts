import { execFileSync } from 'node:child_process';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ApiCall } from '../../../../local/facade.ts';
import { receiverName } from '../../../config/names.ts';
import { database, type Rehearsal, system } from '../rehearsal.ts';
import type { Fault, Injection } from './fault.ts';

/** Faults of the task itself: its programs, its life signs, the server it restores into. */

/** The service that receives WAL, which is no task of a workflow. */
const receiver = receiverName(system, database);

/** The process of the task that was started last and runs; the first of its group. */
function runningTask({ cloud }: Rehearsal): { pid: number; directory: string } | undefined {
  const task = cloud.ecs
    .tasks()
    .findLast((one) => one.family !== receiver && one.lastStatus === 'RUNNING' && one.pid !== undefined);
  return task && { pid: task.pid as number, directory: task.directory };
}

interface Process {
  readonly pid: number;
  readonly group: number;
  readonly program: string;
}

function processes(): Process[] {
  const text = execFileSync('ps', ['-A', '-o', 'pid=,pgid=,comm='], { encoding: 'utf8' });
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.+?)\s*$/.exec(line);
    return match ? [{ pid: Number(match[1]), group: Number(match[2]), program: match[3] as string }] : [];
  });
}

/** Acts once, when the first multipart upload of the backup has begun: the dump is then certainly under way. */
function onceUploading(rehearsal: Rehearsal, act: (task: { pid: number }) => string | undefined): Injection {
  let struck: string | undefined;
  const undo = rehearsal.cloud.intercept((call: ApiCall) => {
    if (struck !== undefined || call.service !== 's3' || call.operation !== 'UploadPart') return;
    const task = runningTask(rehearsal);
    if (task) struck = act(task);
  });
  return { struck: () => struck, undo: async () => undo() };
}

const killDump: Fault = {
  name: 'pg-dump-killed',
  summary: 'pg_dump is killed (SIGKILL) while its output is being uploaded.',
  workflow: 'backup-logical',
  expectedError: 'DumpFailed',
  expectedMessage: /SIGKILL/,
  inject: async (rehearsal) =>
    onceUploading(rehearsal, (task) => {
      const dumps = processes().filter(({ group, program }) => group === task.pid && /(^|\/)pg_dump$/.test(program));
      for (const { pid } of dumps) process.kill(pid, 'SIGKILL');
      return dumps.length > 0 ? `killed pg_dump (pid ${dumps.map(({ pid }) => pid).join(', ')})` : undefined;
    }),
};

const loseHeartbeat: Fault = {
  name: 'heartbeat-lost',
  summary:
    'The whole task freezes (SIGSTOP) in the middle of its upload, so that no heartbeat comes any more, and thaws when its execution has given it up.',
  workflow: 'backup-logical',
  expectedError: 'TaskUnresponsive',
  async inject(rehearsal) {
    let frozen: number | undefined;
    const injection = onceUploading(rehearsal, ({ pid }) => {
      frozen = pid;
      process.kill(-pid, 'SIGSTOP');
      return `froze the task's process group ${pid}`;
    });
    return {
      struck: injection.struck,
      async undo() {
        await injection.undo();
        // What wakes up late must not commit a backup behind the back of an execution that has failed.
        if (frozen !== undefined) process.kill(-frozen, 'SIGCONT');
      },
    };
  },
};

const changeRow: Fault = {
  name: 'row-changed',
  summary: 'One row of customers changes in the restored database before its content is compared.',
  workflow: 'restore-test',
  expectedError: 'ContentDiffers',
  expectedMessage: /public\.customers\b/,
  async inject(rehearsal) {
    let struck: string | undefined;
    let over = false;
    const watching = (async () => {
      while (!over && struck === undefined) {
        struck = await changeRestoredRow(rehearsal).catch(() => undefined);
        if (struck === undefined) await sleep(10);
      }
    })();
    return {
      struck: () => struck,
      async undo() {
        over = true;
        await watching;
      },
    };
  },
};

/** Changes a row as soon as the restore has committed the table; undefined when it is too early. */
async function changeRestoredRow(rehearsal: Rehearsal): Promise<string | undefined> {
  const task = runningTask(rehearsal);
  if (task === undefined) return undefined;
  const connection = await findEphemeralServer(task.directory);
  if (connection === undefined) return undefined;
  const client = new pg.Client({ ...connection, database: rehearsal.source.name });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query("UPDATE customers SET name = name || '!' WHERE id = 7");
    return rowCount === 1 ? 'changed the name of customer 7 in the ephemeral server' : undefined;
  } finally {
    await client.end().catch(() => {});
  }
}

/** The ephemeral server's own superuser, by the password file that its tools use. */
async function findEphemeralServer(directory: string): Promise<pg.ClientConfig | undefined> {
  for await (const file of glob('volumes/work/*/ephemeral/pgpass', { cwd: directory })) {
    const [host, port, , user, password] = (await readFile(join(directory, file), 'utf8')).trim().split(':');
    return { host, port: Number(port), user, password };
  }
  return undefined;
}

export const taskFaults: readonly Fault[] = [killDump, loseHeartbeat, changeRow];
