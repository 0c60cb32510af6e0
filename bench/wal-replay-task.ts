import { openStore } from '../lib/aws/object-store.ts';
import type { Lineage } from '../lib/core/keys.ts';
import { targetParameters } from '../lib/core/recovery-target.ts';
import { startClone } from '../lib/postgres/clone.ts';
import { prepareRecovery, readReached, replay } from '../tasks/recover.ts';

/**
 * One recovery to the end of the WAL, by an account that PostgreSQL runs as: with the WAL out of the store, or with `cp`
 * from a local folder of plain segments, the same otherwise. Prints the seconds of the replay alone.
 */
const { home, lineage, segments } = JSON.parse(process.argv[2] ?? '{}') as {
  home: string;
  lineage: Lineage;
  /** A folder of segments; without it, the store. */
  segments?: string;
};
const store = openStore('bench');
const signal = new AbortController().signal;
const options = { directory: home, concurrency: 2, timeoutSeconds: 300, signal };
const prepared = await prepareRecovery(store, lineage, { kind: 'latest' }, options);
const { backup, timeline } = prepared.recovery;
const parameters = targetParameters({ kind: 'latest' }, timeline);
const began = performance.now();
const { clone } = segments
  ? {
      clone: await startClone({
        data: prepared.data,
        home: prepared.home,
        recovery: { restore_command: `cp '${segments}/%f' '%p'`, ...parameters },
        limits: backup.limits,
        superusers: backup.superusers,
        major: Math.floor(backup.serverVersionNum / 10_000),
        walFailure: () => undefined,
        timeoutSeconds: 300,
        signal,
      }),
    }
  : await replay(prepared, store, lineage, parameters, options);
const seconds = (performance.now() - began) / 1000;
const { lsn } = await readReached(clone);
await clone.stop();
process.stdout.write(`${JSON.stringify({ seconds, lsn })}\n`);
