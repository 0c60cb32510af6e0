import { setTimeout as sleep } from 'node:timers/promises';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { ChangeResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import { openStateItems, readRole, type StateItems } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Role, ServerName } from '../lib/core/failover/role.ts';
import { flipWeight } from '../lib/core/failover/traffic.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import { metricNamespace } from '../lib/core/metrics.ts';
import { defineHandler } from './define-handler.ts';

/** Leads the name of a database to its writer. Driven by the role item alone, never by who looks alive. */

interface Event {
  /** `flip`: to the target of the run that is past its point of no return; `republish`: to the writer, each minute. */
  readonly verb: 'flip' | 'republish';
  readonly settings: FailoverSettings;
  readonly run?: string;
}

export const handler = defineHandler(async ({ verb, settings: given, run }: Event): Promise<object> => {
  const settings = parseFailoverSettings(given);
  const items = openStateItems(process.env.STATE_TABLE ?? '', settings.database, settings.region);
  const isFlip = verb === 'flip';
  try {
    const role = isFlip ? await mayFollow(items, run) : await readRole(items);
    const writer = isFlip ? flipTarget(role, run) : role.writer;
    await publish(settings, writer, isFlip ? flipWeight(role) : 1);
    if (isFlip && settings.endpoint.mode === 'record-update') await updateRecord(settings, writer);
    return { writer, name: settings.endpoint.name, mode: settings.endpoint.mode, at: Date.now() };
  } catch (error) {
    if (error instanceof PgdrError) throw error;
    // By a name that the machine asks again for: past the point of no return there is only forward.
    throw new PgdrError('PromotionFailed', `the name could not be moved: ${(error as Error).message}`, {
      cause: error,
    });
  }
});

/** Less than the limit of the function, which is asked again. */
const patienceSeconds = 45;

/**
 * Where nothing can be lost, clients may be led to the target before it has left recovery. Elsewhere its sequences are
 * taken ahead first, which ends the promotion: a client that came earlier could be given an id for the second time.
 */
async function mayFollow(items: StateItems, run: string | undefined): Promise<Role> {
  const deadline = performance.now() + patienceSeconds * 1000;
  for (;;) {
    const role = await readRole(items);
    const { phase, fence } = role.run?.id === run ? (role.run ?? {}) : {};
    if (phase !== 'committed' || fence?.fence === 'clean-stop') return role;
    if (performance.now() > deadline)
      throw new PgdrError('PromotionFailed', `${role.run?.target} is not the writer yet`);
    await sleep(20);
  }
}

function flipTarget(role: Role, run: string | undefined): ServerName {
  if (role.run === null || role.run.id !== run || !['committed', 'promoted'].includes(role.run.phase)) {
    throw new PgdrError('FailoverSuperseded', `${run} does not hold the role item past its point of no return`);
  }
  return role.run.target;
}

/** A data plane of the recovery region: Route 53's checkers read the metric, and nothing asks its control plane. */
async function publish({ database }: FailoverSettings, writer: ServerName, weight: number): Promise<void> {
  const cloudwatch = new CloudWatchClient({ maxAttempts: 6 });
  await cloudwatch.send(
    new PutMetricDataCommand({
      Namespace: metricNamespace,
      MetricData: [
        {
          MetricName: 'SecondaryIsWriter',
          Dimensions: [{ Name: 'Database', Value: database }],
          Unit: 'None',
          Value: writer === 'standby' ? weight : -weight,
        },
      ],
    }),
  );
}

async function updateRecord({ endpoint }: FailoverSettings, writer: ServerName): Promise<void> {
  const targets = { primary: endpoint.primaryTarget, standby: endpoint.standbyTarget };
  const route53 = new Route53Client({ maxAttempts: 4 });
  await route53.send(
    new ChangeResourceRecordSetsCommand({
      HostedZoneId: endpoint.zoneId ?? '',
      ChangeBatch: {
        Comment: 'pgdr: the writer has changed',
        Changes: [
          {
            Action: 'UPSERT',
            ResourceRecordSet: {
              Name: endpoint.name,
              Type: 'CNAME',
              TTL: endpoint.ttlSeconds,
              ResourceRecords: [{ Value: targets[writer] }],
            },
          },
        ],
      },
    }),
  );
}
