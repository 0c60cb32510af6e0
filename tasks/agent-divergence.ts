import { gzipSync } from 'node:zlib';
import type { DivergenceItem } from '../lib/core/failover/diverged.ts';
import type { Divergence } from './agent-orders.ts';

/** An item of DynamoDB holds 400 KB, with all its names. */
const mostBytes = 300_000;
const idsNamed = 20;

/** What is left in the state table: as many commits as fit, halved until they do. */
export function divergenceItem(orderId: string, { timeline, start, commits, xids }: Divergence): DivergenceItem {
  for (let listed = commits.length; ; listed = Math.floor(listed / 2)) {
    const text = gzipSync(commits.slice(0, listed).join('\n')).toString('base64');
    if (text.length > mostBytes) continue;
    return {
      orderId,
      timeline,
      start,
      transactions: commits.length,
      xids: xids.slice(0, idsNamed),
      commits: text,
      listed,
    };
  }
}
