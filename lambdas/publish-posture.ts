import { publishEmbedded } from '../lib/aws/embedded-metrics.ts';
import { openStore } from '../lib/aws/object-store.ts';
import { tellPeer } from '../lib/aws/peer-metric.ts';
import { readPosture } from '../lib/aws/posture-facts.ts';
import { isPhysical, loadSettings } from '../lib/aws/settings.ts';
import { readTaskImageAge } from '../lib/aws/task-image.ts';
import { postureMetrics } from '../lib/core/posture.ts';
import { defineHandler, logger } from './define-handler.ts';

/**
 * Publishes how well a database is covered, from what lies in this region's bucket, and tells the other region that
 * this one lives. What cannot be measured is not published: the alarms take silence for danger.
 */
export const handler = defineHandler(async ({ database }: { database: string }): Promise<void> => {
  const system = process.env.SYSTEM ?? '';
  const settings = await loadSettings(system, database);
  const taskImageAt = await readTaskImageAge(settings.taskDefinition);
  const facts = await readPosture(openStore(settings.bucket), settings, new Date());
  publishEmbedded(database, postureMetrics({ ...facts, taskImageAt, hasWal: await isPhysical(system, database) }));
  // Last, so that a region that is lost costs this one nothing but a line in the log.
  await tellPeer(system, process.env.PEER_REGION ?? '').catch((error: Error) =>
    logger.warn('the other region does not answer', { error: error.name }),
  );
});
