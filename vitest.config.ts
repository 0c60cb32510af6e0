import { defineConfig } from 'vitest/config';

/** One project per folder under test/: `npx vitest run --project unit` runs one of them. */
const project = (name: string, testTimeout: number, fileParallelism = true) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: testTimeout,
    fileParallelism,
    // What is waited for comes when it comes: a busy machine is no reason to fail.
    expect: { poll: { timeout: 20_000 } },
  },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('unit', 20_000),
      project('workflows', 60_000),
      project('infra', 180_000),
      project('local', 300_000, false),
      project('scenarios', 600_000),
      project('faults', 300_000, false),
      project('peers', 600_000, false),
    ],
  },
});
