import * as keys from '../lib/core/keys.ts';
import type { Table } from '../lib/postgres/catalog.ts';
import { type Extent, hasLargeObjects } from '../lib/postgres/selection.ts';
import { databaseArgument } from '../lib/postgres/tools.ts';
import type { DumpStream } from './dump-stream.ts';

/** Which programs dump what into which objects. */

export interface DumpOptions {
  readonly ownStreams: number;
  readonly lockTimeoutSeconds: number;
  readonly allowSkipped: readonly string[];
}

/** Below this a table is not worth a program of its own. */
const leastOwnBytes = 1024 * 1024;

/**
 * The largest tables get a stream and an object of their own; `main` holds the rest of the data, and the definitions
 * once more. What a selection excludes is in none of them; what has no rows in it is there without. The schema is an archive of its own, so that a restore can make tables before it has read any data.
 */
export function planStreams(
  { tables, extent }: { readonly tables: readonly Table[]; readonly extent: Extent },
  options: DumpOptions,
  snapshotId: string,
  prefix: string,
): { readonly own: DumpStream[]; readonly shared: DumpStream[] } {
  const common = [
    '--format=custom',
    '--compress=0',
    `--snapshot=${snapshotId}`,
    `--lock-wait-timeout=${options.lockTimeoutSeconds}s`,
    // Without it pg_dump refuses a table whose rows it may not all see.
    ...(options.allowSkipped.includes('row-security') ? ['--enable-row-security'] : []),
  ];
  const { selection } = extent;
  const withoutRows = new Set(selection?.withoutRows);
  const excluded = [
    ...extent.excludedSchemas.map((name) => `--exclude-schema=${quoted(name)}`),
    ...extent.excludedOutside.map((relation) => `--exclude-table=${pattern(relation)}`),
  ];
  const filled = tables.filter(({ relation }) => !withoutRows.has(relation));
  const ownTables = filled.slice(0, options.ownStreams).filter((table) => table.bytes >= leastOwnBytes);
  const own = ownTables.map(
    (table, i): DumpStream => ({
      role: 'table',
      relation: table.relation,
      key: keys.tableKey(prefix, i + 1),
      program: 'pg_dump',
      args: [...common, '--data-only', `--table=${pattern(table.relation)}`],
    }),
  );
  const shared: DumpStream[] = [
    {
      role: 'main',
      key: keys.mainKey(prefix),
      program: 'pg_dump',
      args: [
        ...common,
        ...excluded,
        ...[...ownTables.map(({ relation }) => relation), ...withoutRows].map(
          (relation) => `--exclude-table-data=${pattern(relation)}`,
        ),
        ...(hasLargeObjects(extent) ? [] : ['--no-blobs']),
      ],
    },
    {
      role: 'schema',
      key: keys.schemaKey(prefix),
      program: 'pg_dump',
      args: [...common, ...excluded, '--schema-only'],
    },
  ];
  return { own, shared: selection?.asked.schemaOnly ? shared.filter(({ role }) => role === 'schema') : shared };
}

/** The roles of the server; `database` is any that it may connect to. */
export const globalsStream = (database: string, prefix: string): DumpStream => ({
  role: 'globals',
  key: keys.globalsKey(prefix),
  program: 'pg_dumpall',
  // Password hashes need a superuser and would be secrets in a backup; see docs/architecture.md.
  args: ['--globals-only', '--no-role-passwords', '--no-tablespaces', databaseArgument(database)],
});

/** A relation as a pg_dump pattern that matches it alone: unquoted, it would fold case and read `*`, `?` and `.`. */
export function pattern(relation: string): string {
  const [, schema, name] = /^("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)$/s.exec(relation) ?? [];
  const literal = (part = '') => (part.startsWith('"') ? part : quoted(part));
  return `${literal(schema)}.${literal(name)}`;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
