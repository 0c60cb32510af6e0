import { setAlarmActions } from '../lib/aws/alarm-actions.ts';
import { setServiceCount } from '../lib/aws/compute.ts';
import { loadProtectionSettings } from '../lib/aws/settings.ts';
import { findWriter, type WriterSeen } from '../lib/aws/writer-seen.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import { defineHandler, logger } from './define-handler.ts';

/**
 * Lets protection follow the writer: in the region that holds it alarms are armed and WAL is received, in the other one
 * they rest. Each region sees to its own, each minute, by the role item; nothing waits for the other to return.
 */

interface Event {
  /** `find`: which server is the writer, and whether it is here; `follow`: the same, and switches what depends on it. */
  readonly verb: 'find' | 'follow';
  readonly settings: FailoverSettings;
}

export interface Followed extends WriterSeen {
  readonly region: string;
  /** Whether this region holds the writer. */
  readonly here: boolean;
  readonly says: string;
  /** What could not be switched; the next minute tries again. */
  readonly problems: readonly string[];
}

export const handler = defineHandler(async ({ verb, settings: given }: Event): Promise<Followed> => {
  const settings = parseFailoverSettings(given);
  if (verb !== 'find' && verb !== 'follow') throw new PgdrError('RequestInvalid', `no such step: ${verb}`);
  const region = process.env.AWS_REGION ?? settings.region;
  const seen = await findWriter(process.env.STATE_TABLE ?? '', settings, region, Date.now());
  const holder = settings.servers[seen.writer].region;
  const here = holder === region;
  const problems = verb === 'follow' ? await follow(settings, here) : [];
  const news = seen.stale === null ? '' : `, as far as is known (${seen.stale})`;
  return { ...seen, region, here, says: `The writer is the ${seen.writer}, in ${holder}${news}.`, problems };
});

async function follow({ system, database }: FailoverSettings, here: boolean): Promise<string[]> {
  const { alarms, receiver } = await loadProtectionSettings(system, database);
  const results = await Promise.allSettled([
    setAlarmActions(alarms, here),
    receiver === null ? undefined : setServiceCount(receiver, here ? 1 : 0),
  ]);
  const problems = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []));
  for (const reason of problems) logger.error('protection does not follow the writer', { reason });
  return problems;
}
