import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { getText, list, type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { basePrefix, type Lineage, walGapKey, walPrefix } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import { log } from '../log.ts';
import { publishMetrics } from '../metrics.ts';

/** WAL that the server no longer had: bytes [start, end) of a timeline. */
export interface Gap {
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
  /** What the server said. */
  readonly reason: string;
}

/** Writes the gap down, once, and tells CloudWatch. What is recorded is never asked for again. */
export async function recordGap(store: ObjectStore, of: Lineage, gap: Gap): Promise<void> {
  const { timeline, start, end, reason } = gap;
  const text = { timeline, start: formatLsn(start), end: formatLsn(end), bytes: Number(end - start), reason };
  log('GAP: the server no longer has WAL that is not stored', text);
  const body = { schemaVersion: 1, foundAt: new Date().toISOString(), ...text };
  await putOnce(store, walGapKey(of, timeline, start, end), Buffer.from(`${JSON.stringify(body, null, 2)}\n`)).catch(
    (error) => {
      // Another attempt recorded the same gap at another time.
      if ((error as Error).name !== 'ManifestConflict') throw error;
    },
  );
  publishMetrics(of.database, { WalGaps: 1 });
}

/**
 * Starts a base backup after a gap, since nothing after it can be restored without one. Asks again until it is started,
 * once an hour at most, and stops when a base backup has been taken since. Gives what makes it look at once.
 */
export function startBackupAfterGaps(
  store: ObjectStore,
  of: Lineage,
  options: { stateMachineArn: string; signal: AbortSignal; intervalSeconds?: number },
): () => void {
  const states = new SFNClient({ maxAttempts: 3 });
  const look = async () => {
    const pending = await gapWithoutBackup(store, of);
    if (pending === undefined) return;
    const hour = new Date().toISOString().slice(0, 13).replace(/\D/g, '');
    try {
      await states.send(
        new StartExecutionCommand({
          stateMachineArn: options.stateMachineArn,
          // A name is taken once: two looks in one hour start one backup.
          name: `gap-${of.database}-${hour}`,
          input: JSON.stringify({ database: of.database, reason: `WAL gap ${pending}` }),
        }),
      );
      log('base backup started after a gap', { gap: pending });
    } catch (error) {
      if ((error as Error).name === 'ExecutionAlreadyExists') return;
      log('the base backup after a gap was not started', { gap: pending, reason: (error as Error).message });
    }
  };
  const safely = () =>
    void look().catch((error) => log('gaps could not be looked at', { reason: (error as Error).message }));
  safely();
  const timer = setInterval(safely, (options.intervalSeconds ?? 60) * 1000);
  options.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return safely;
}

/** The newest gap after which no base backup began; its key's name. */
async function gapWithoutBackup(store: ObjectStore, of: Lineage): Promise<string | undefined> {
  let newest: string | undefined;
  for await (const key of list(store, `${walPrefix(of)}gaps/`)) if (newest === undefined || key > newest) newest = key;
  if (newest === undefined) return undefined;
  const name = newest.slice(newest.lastIndexOf('/') + 1, -'.json'.length);
  const { foundAt } = JSON.parse(await getText(store, newest)) as { foundAt: string };
  const stamp = foundAt.replace(/[-:]|\.\d+/g, '');
  for await (const folder of list(store, basePrefix(of), '/')) {
    if (folder.slice(basePrefix(of).length) > stamp) return undefined;
  }
  return name;
}
