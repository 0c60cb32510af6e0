import { defineConfig } from '../../../config/schema.ts';

/** What a rehearsal of failovers deploys: one database of two servers, with a name that leads to its writer. */
type Major = 13 | 14 | 15 | 16 | 17 | 18;

const compute = (n: number) =>
  process.env.PGDR_REHEARSE_INSTANCES === 'true'
    ? { kind: 'ec2' as const, instanceId: `i-${String(n).padStart(17, '0')}` as const }
    : { kind: 'ecs' as const, cluster: 'databases', service: `orders-${n}` };

export default defineConfig({
  name: 'rehearsal',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: [
    {
      name: 'orders',
      version: Number(process.env.PGDR_REHEARSE_MAJOR) as Major,
      primary: { secret: 'orders/control' },
      standby: { secret: 'orders/standby' },
      endpoint: {
        zone: 'db.internal',
        vpcs: [{ id: 'vpc-0a1b2c3d4e5f60718', region: 'eu-north-1' }],
        name: 'orders',
        primary: 'orders-1.db.internal',
        standby: 'orders-2.db.internal',
        mode: (process.env.PGDR_REHEARSE_MODE ?? 'health-check') as 'health-check',
        ttl: '1 second',
      },
      failover: {
        secret: 'orders/control',
        primary: compute(1),
        standby: compute(2),
        lease: '3 seconds',
        probeInterval: '500 milliseconds',
        automatic: true,
      },
      ...(process.env.PGDR_REHEARSE_PHYSICAL === 'true' && { physical: { walChunkInterval: '1 second' } }),
      objectives: { rto: '30 minutes' },
    },
  ],
  notifications: { slackWebhookSecret: 'pgdr/slack', runbooks: 'https://runbooks.example.com' },
});
