import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What held, scenario by scenario: lines of JSON that bin/fault-table.mjs prints as a table. */
export const tableFile = join(import.meta.dirname, '..', '..', '.pgdr', 'scenarios.jsonl');

export function note(scenario: string, invariant: string, measured = ''): void {
  mkdirSync(join(tableFile, '..'), { recursive: true });
  appendFileSync(tableFile, `${JSON.stringify({ scenario, invariant, measured, at: new Date().toISOString() })}\n`);
}
