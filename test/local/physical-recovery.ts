import { openStore } from '../../lib/aws/object-store.ts';
import { toFailure } from '../../lib/core/errors.ts';
import { parseTarget } from '../../lib/core/recovery-target.ts';
import { connect } from '../../lib/postgres/connection.ts';
import { backUp } from '../../tasks/backup-logical.ts';
import type { JobContext } from '../../tasks/job.ts';
import { recover } from '../../tasks/recover.ts';
import { restoreTestPhysical } from '../../tasks/restore-test-physical.ts';

/** Works as a task would, on the programs of one major, and prints what came of it as the last line. */

const { work, home, lineage, target, questions, connection, attempt } = JSON.parse(process.argv[2] ?? '{}');
const size = { cpu: '1', memory: '1', storageGiB: 1, timeoutSeconds: 60, heartbeatSeconds: 30 };
const context = {
  settings: {
    ...lineage,
    bucket: 'backups',
    logical: { ownStreams: 2, concurrency: 2, zstdLevel: 1, lockTimeoutSeconds: 10, reuseSeconds: 0, allowSkipped: [] },
    restoreTest: { assertions: [] },
    tasks: { restore: size },
    lock: { mode: 'GOVERNANCE', seconds: 3600 },
  },
  input: {},
  directory: home,
  attempt,
  signal: new AbortController().signal,
  stillWanted: async () => {},
} as unknown as JobContext;

async function answer(): Promise<object> {
  if (work === 'capture') {
    return { taken: await backUp(context, connection, [connection.dbname]) };
  }
  if (work === 'restore-test') return { proof: await restoreTestPhysical(context) };
  const { clone, ...recovered } = await recover(openStore('backups'), lineage, parseTarget(target), {
    directory: home,
    concurrency: 2,
    timeoutSeconds: 40,
    signal: context.signal,
  });
  const client = await connect(clone.connection, 'test');
  const answers: unknown[] = [];
  for (const question of questions) answers.push((await client.query(question)).rows[0] ?? null);
  await client.end();
  await clone.stop();
  return { recovered, answers };
}

try {
  process.stdout.write(`${JSON.stringify(await answer())}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.stdout.write(`${JSON.stringify({ failure: toFailure(error) })}\n`);
}
