import { defineConfig } from '../../lib/config/schema.ts';

const smallTask = { vcpu: 1, memoryGiB: 2, storageGiB: 21 } as const;

export default defineConfig({
  name: 'raided',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  vault: { account: '222233334444', sourceAccount: '111122223333', region: 'eu-west-1' },
  databases: [
    {
      name: 'orders',
      version: Number(process.env.PGDR_REHEARSE_MAJOR) as 15,
      primary: { secret: 'orders/primary' },
      logical: { task: { ...smallTask } },
      restoreTest: { assertions: ['SELECT count(*) = 3000 FROM orders'], task: { ...smallTask } },
    },
  ],
});
