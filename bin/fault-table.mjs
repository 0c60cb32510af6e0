/**
 * `node bin/fault-table.mjs`: what the scenarios of failovers held in their last run, as a table. They leave a line of
 * JSON for each invariant (test/scenarios/failover-table.ts); the newest line of an invariant counts.
 */
import { existsSync, readFileSync } from 'node:fs';

const file = new URL('../.pgdr/scenarios.jsonl', import.meta.url);
if (!existsSync(file)) {
  console.error('No scenario has run yet: npm run test:scenarios');
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
