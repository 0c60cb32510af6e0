/**
 * `node bin/fault-table.mjs`: what the scenarios of failovers held in their last run, as a table. They leave a line of
 * JSON for each invariant (test/scenarios/failover-table.ts); the newest line of an invariant counts. A scenario without
 * any is an error. With `--forget` those lines go, before a new run.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';

const scenarios =
  `kill9-sync kill9-async shipping-stalled-then-kill freeze-resume-async freeze-resume-sync cancel-syncrep
  partition-primary-recovery partition-primary-all observer-region-down all-observers-down lease-store-down
  disk-full-data disk-full-wal slow-standby stale-standby frozen-walreceiver promote-cancelled double-start
  controller-kill-each-state abort-before-point-of-no-return abort-after switch-metric-stops old-primary-returns
  early-rewind wal-recycled switchover-under-load sequence-reuse stale-dns-client`.split(/\s+/);

const file = new URL('../.pgdr/scenarios.jsonl', import.meta.url);
if (process.argv.includes('--forget')) {
  rmSync(file, { force: true });
  process.exit(0);
}
if (!existsSync(file)) {
  console.error('No scenario has run yet: npm run test:faults');
  process.exit(1);
}
const newest = new Map();
for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
  const entry = JSON.parse(line);
  newest.set(`${entry.scenario}\n${entry.invariant}`, entry);
}
const rows = [
  ['Scenario', 'Invariant', 'Held'],
  ...[...newest.values()].map((entry) => [entry.scenario, entry.invariant, entry.measured || 'yes']),
];
const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
for (const row of rows)
  console.log(
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );

const held = new Set([...newest.values()].map(({ scenario }) => scenario));
const missing = scenarios.filter((name) => !held.has(name));
console.log(`\n${scenarios.length - missing.length} of ${scenarios.length} scenarios held.`);
if (missing.length > 0) {
  console.error(`Nothing held in: ${missing.join(', ')}`);
  process.exitCode = 1;
}
