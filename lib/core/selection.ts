import { z } from 'zod';
import { PgdrError } from './errors.ts';

/**
 * What a backup takes of a database, and what that came to. Patterns are those of psql and pg_dump without regular
 * expressions: `*` is any characters, `?` any one, letters fold to lower case unless they stand in double quotes, in
 * which everything is meant literally.
 */

const patterns = z.array(z.string()).default([]);

/** What was asked for. Nothing asked for is everything. */
export const selectionSchema = z.strictObject({
  /** Definitions without any rows. */
  schemaOnly: z.boolean().default(false),
  /** Only these have rows in the backup, and only these are restored from it, with what they need. null: all. */
  include: z.strictObject({ schemas: patterns, tables: patterns }).nullable().default(null),
  /** Neither locked, nor read, nor stored; of `rows` only the rows. */
  exclude: z.strictObject({ schemas: patterns, tables: patterns, rows: patterns }).prefault({}),
});
export type Selection = z.output<typeof selectionSchema>;

export const everything: Selection = selectionSchema.parse({});

/** In a manifest: what was asked for, and what it came to in this database. null there stands for everything. */
export const resolvedSelectionSchema = z.object({
  asked: selectionSchema,
  /** What a restore brings when nothing else is said. null: all that the backup holds. */
  included: z.object({ schemas: z.array(z.string()), tables: z.array(z.string()) }).nullable(),
  /** What is not in the backup at all: `schema etl`, `public.audit`, and what cannot be without these. */
  excluded: z.array(z.string()),
  /** Tables whose definition is in the backup and whose rows are not. */
  withoutRows: z.array(z.string()),
  /** Parts of tables that are kept, which need what is not: entries of the archive that no restore makes. */
  leftOut: z.array(z.object({ kind: z.string(), schema: z.string(), tag: z.string(), why: z.string() })),
});
export type ResolvedSelection = z.infer<typeof resolvedSelectionSchema>;

export const isEverything = ({ schemaOnly, include, exclude }: Selection): boolean =>
  !schemaOnly && include === null && Object.values(exclude).every((list) => list.length === 0);

/**
 * Checks what an execution was asked for. Throws `RequestInvalid`.
 *
 * @param most characters as JSON: what a task can be given, with its settings, is limited
 */
export function parseSelection(value: unknown, most = 1500): Selection {
  const result = selectionSchema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new PgdrError('RequestInvalid', `select: ${[...(issue?.path ?? []), issue?.message].join(': ')}`);
  }
  const problem = problemOf(result.data);
  if (problem) throw new PgdrError('RequestInvalid', `select: ${problem}`);
  if (JSON.stringify(result.data).length > most) {
    throw new PgdrError('RequestInvalid', `select: it names too much (${most} characters); use patterns`);
  }
  return result.data;
}

/** What is wrong with the patterns of a selection, in words; undefined when nothing is. */
export function problemOf({ include, exclude }: Selection): string | undefined {
  const lists: [string, readonly string[], number][] = [
    ['include.schemas', include?.schemas ?? [], 1],
    ['include.tables', include?.tables ?? [], 2],
    ['exclude.schemas', exclude.schemas, 1],
    ['exclude.tables', exclude.tables, 2],
    ['exclude.rows', exclude.rows, 2],
  ];
  for (const [list, texts, parts] of lists) {
    const wrong = texts.find((text) => patternParts(text)?.length !== parts);
    if (wrong !== undefined) return `${list}: ${wrong} is not of the form ${parts === 1 ? 'schema' : 'schema.table'}`;
  }
  if (include && include.schemas.length + include.tables.length === 0) return 'include names nothing';
  return undefined;
}

/** The parts of a pattern between its dots, each as a regular expression; undefined for what is none. */
export function patternParts(text: string): RegExp[] | undefined {
  const parts = [''];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    let meaning = character.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    if (character === '"' && quoted && text[i + 1] === '"') i += 1;
    else if (character === '"') {
      quoted = !quoted;
      continue;
    } else if (!quoted && character === '.') {
      parts.push('');
      continue;
    } else if (!quoted && character === '*') meaning = '.*';
    else if (!quoted && character === '?') meaning = '.';
    else if (!quoted) meaning = meaning.toLowerCase();
    parts[parts.length - 1] += meaning;
  }
  if (quoted || parts.includes('')) return undefined;
  return parts.map((part) => new RegExp(`^${part}$`, 'su'));
}

/** Does a name, given in as many parts as the pattern has, match one of the patterns? */
export const matches = (patterns: readonly string[], ...name: readonly string[]): boolean =>
  patterns.some((text) => {
    const parts = patternParts(text);
    return parts?.length === name.length && parts.every((part, i) => part.test(name[i] as string));
  });

/** In one sentence what a partial backup is, for people; null for a whole one. */
export function describeSelection(selection: { readonly asked: Selection } | null): string | null {
  if (selection === null) return null;
  const { schemaOnly, include, exclude } = selection.asked;
  const named = (what: string, list: readonly string[]) => (list.length > 0 ? [`${what} ${list.join(', ')}`] : []);
  return [
    ...(schemaOnly ? ['definitions without rows'] : []),
    ...named('only schemas', include?.schemas ?? []),
    ...named('only tables', include?.tables ?? []),
    ...named('without schemas', exclude.schemas),
    ...named('without tables', exclude.tables),
    ...named('without the rows of', exclude.rows),
  ].join('; ');
}
