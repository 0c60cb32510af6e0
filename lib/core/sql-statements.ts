/** Just enough of SQL's spelling to handle what pg_dump and pg_dumpall write: quoting, comments, statement ends. */

/** Strings (with backslashes after E), dollar quotes, quoted identifiers, comments, psql's lines, words, the rest. */
const token =
  /[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$([A-Za-z_]\w*)?\$.*?\$\1\$|"(?:[^"]|"")*"|--[^\n]*|^\\[^\n]*$|[\p{L}_][\p{L}\p{N}_$]*|\s+|./gmsu;

const tokens = (sql: string): string[] => [...sql.matchAll(token)].map(([text]) => text);

const isBlank = (text: string): boolean => /^\s/.test(text) || text.startsWith('--') || text.startsWith('\\');

/** The statements of a script without their semicolons; comments and lines of psql between them are dropped. */
export function splitStatements(script: string): string[] {
  const statements: string[] = [];
  let current = '';
  for (const text of tokens(script)) {
    if (text === ';') {
      statements.push(current.trim());
      current = '';
    } else if (current !== '' || !isBlank(text)) current += text;
  }
  if (current.trim() !== '') statements.push(current.trim());
  return statements;
}

/** `"Weird ""Name"""` → `Weird "Name"`; an unquoted identifier is what PostgreSQL folds it to. */
export const unquoteIdentifier = (text: string): string =>
  text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase();

export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const quoteLiteral = (text: string): string =>
  text.includes('\\') ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`;

/** The words of a statement: identifiers and keywords in order, everything else left out. */
export const wordsOf = (statement: string): string[] =>
  tokens(statement).filter((text) => /^["\p{L}_]/u.test(text) && !/^[eE]'/.test(text));

/** Lets a statement on one database be about another: the name after each word DATABASE, outside of quotes. */
export function renameDatabase(statement: string, from: string, to: string): string {
  let afterDatabase = false;
  return tokens(statement)
    .map((text) => {
      if (isBlank(text)) return text;
      const named = afterDatabase && unquoteIdentifier(text) === from;
      afterDatabase = text.toUpperCase() === 'DATABASE';
      return named ? quoteIdentifier(to) : text;
    })
    .join('');
}

/** A statement without its last clause that begins with these words; as it was where it has none. */
export function withoutClause(statement: string, ...words: readonly string[]): string {
  const texts = tokens(statement);
  const kept = texts.flatMap((text, i) => (isBlank(text) ? [] : [{ text: text.toUpperCase(), i }]));
  const at = kept.findLastIndex((_, k) => words.every((word, n) => kept[k + n]?.text === word));
  return at < 0 ? statement : texts.slice(0, kept[at]?.i).join('').trimEnd();
}

/** A relation's two names; see {@link parseRelation}. */
export interface Relation {
  readonly schema: string;
  readonly name: string;
}

/** `schema.name`, each part in double quotes where it needs them; undefined when it is not of that form. */
export function parseRelation(text: string): Relation | undefined {
  const part = String.raw`("(?:[^"]|"")+"|[^".\s]+)`;
  const [, schema, name] = new RegExp(String.raw`^${part}\.${part}$`, 's').exec(text) ?? [];
  if (schema === undefined || name === undefined) return undefined;
  return { schema: unquoteIdentifier(schema), name: unquoteIdentifier(name) };
}

/** One text for one relation, to look it up by. */
export const relationKey = ({ schema, name }: Relation): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
