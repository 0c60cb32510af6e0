import { openStore } from '../../lib/aws/object-store.ts';
import { toFailure } from '../../lib/core/errors.ts';
import { parseTarget } from '../../lib/core/recovery-target.ts';
import { connect } from '../../lib/postgres/connection.ts';
import { recover } from '../../tasks/recover.ts';

/** Recovers as a task would, asks the clone, and prints what came of it as the last line. */

const { home, lineage, target, questions } = JSON.parse(process.argv[2] ?? '{}');
try {
  const { clone, ...recovered } = await recover(openStore('backups'), lineage, parseTarget(target), {
    directory: home,
    concurrency: 2,
    timeoutSeconds: 40,
    signal: new AbortController().signal,
  });
  const client = await connect(clone.connection, 'test');
  const answers: unknown[] = [];
  for (const question of questions) answers.push((await client.query(question)).rows[0] ?? null);
  await client.end();
  await clone.stop();
  process.stdout.write(`${JSON.stringify({ recovered, answers })}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.stdout.write(`${JSON.stringify({ failure: toFailure(error) })}\n`);
}
