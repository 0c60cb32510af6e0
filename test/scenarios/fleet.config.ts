import { defineConfig } from '../../lib/config/schema.ts';

/** Twelve databases, for test/scenarios/fleet.test.ts. */
type Major = 13 | 14 | 15 | 16 | 17 | 18;
const version = Number(process.env.PGDR_REHEARSE_MAJOR) as Major;
const task = { vcpu: 1, memoryGiB: 2, storageGiB: 21 } as const;

export default defineConfig({
  name: 'fleet',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: Array.from({ length: 12 }, (_, i) => ({
    name: `shop-${i + 1}`,
    version,
    primary: { secret: `shop-${i + 1}/primary` },
    logical: { task: { ...task } },
    restoreTest: { task: { ...task } },
    restore: { task: { ...task } },
  })),
});
