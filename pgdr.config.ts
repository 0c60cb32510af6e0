import { defineConfig } from './lib/config/schema.ts';

/** One entry for each protected database; docs/configuration.md has every key and default. */
export default defineConfig({
  name: 'acme',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: [
    {
      name: 'orders',
      engine: 'postgres',
      version: 17,
      primary: { secret: 'orders/primary' },
      objectives: { rpo: '24 hours', rto: '4 hours' },
      logical: { schedule: 'cron(0 2 * * ? *)' },
      restoreTest: { schedule: 'cron(0 3 ? * SUN *)' },
    },
  ],
  notifications: { slackWebhookSecret: 'pgdr/slack' },
});
