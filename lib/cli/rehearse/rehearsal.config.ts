import { defineConfig } from '../../config/schema.ts';

/** What a rehearsal deploys: the sample of pgdr.config.ts, for a database of the PostgreSQL that this machine has. */
type Major = 13 | 14 | 15 | 16 | 17 | 18;
const major = Number(process.env.PGDR_REHEARSE_MAJOR) as Major;
const clientEncryption = process.env.PGDR_REHEARSE_CLIENT_ENCRYPTION === 'true';
const restoreMajor = Number(process.env.PGDR_REHEARSE_RESTORE_MAJOR ?? major) as Major;

/** The smallest that Fargate has; a silent task is given up after half a minute, so that a rehearsal of it is short. */
const smallTask = { vcpu: 1, memoryGiB: 2, storageGiB: 21, heartbeatTimeout: '30 seconds' } as const;

export default defineConfig({
  name: 'rehearsal',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: [
    {
      name: 'orders',
      engine: 'postgres',
      version: major,
      primary: { secret: 'orders/primary' },
      logical: {
        // As a silent task: so that a rehearsal of it is short.
        lockTimeout: '5 seconds',
        clientEncryption,
        task: { ...smallTask },
      },
      // Base backups and WAL are not encrypted by us: the two exclude each other.
      ...(clientEncryption ? {} : { physical: { base: { task: { ...smallTask } } } }),
      restore: {
        targets: [
          { secret: 'orders/restore' },
          ...(restoreMajor === major ? [] : [{ secret: 'orders/upgrade', version: restoreMajor }]),
        ],
        task: { ...smallTask },
      },
      restoreTest: {
        version: Math.max(major, restoreMajor) as Major,
        assertions: [
          'SELECT count(*) > 0 FROM customers',
          `SELECT bool_and(details ? 'name')
             FROM products WHERE "price" > 0`,
        ],
        task: { ...smallTask },
      },
    },
  ],
  notifications: { slackWebhookSecret: 'pgdr/slack', runbooks: 'https://runbooks.example.com' },
});
