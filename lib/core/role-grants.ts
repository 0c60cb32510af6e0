import { unquoteIdentifier, withoutClause, wordsOf } from './sql-statements.ts';

/**
 * Memberships as pg_dumpall writes them, `GRANT role TO member … GRANTED BY grantor`, made possible on another server.
 *
 * Since PostgreSQL 16 the grantor must have the ADMIN option on the role, or be the superuser that initdb made, who may
 * have another name here; and to 15 the grantor was only a note. So the clause stays where an earlier statement gave
 * its role that option, and otherwise the restoring superuser is the grantor. To leave it out everywhere would be
 * wrong: grants by two roles are two memberships with options of their own, and would melt into one.
 */
export function withPossibleGrantors(statements: readonly string[]): string[] {
  const superusers = new Set<string>();
  const administrators = new Set<string>();
  return statements.map((statement) => {
    const words = wordsOf(statement);
    if (words[0] === 'ALTER' && words[1] === 'ROLE' && words.includes('SUPERUSER', 3)) {
      superusers.add(nameIn(words, 2));
    }
    // GRANT … ON PARAMETER … is no membership.
    if (words[0] !== 'GRANT' || words[2] !== 'TO') return statement;
    const [role, member] = [nameIn(words, 1), nameIn(words, 3)];
    const by = words.findLastIndex((word, i) => word === 'GRANTED' && words[i + 1] === 'BY');
    const grantor = by > 0 ? nameIn(words, by + 2) : undefined;
    if (words.includes('ADMIN', 4)) administrators.add(key(role, member));
    if (grantor === undefined) return statement;
    const possible = administrators.has(key(role, grantor)) && !superusers.has(grantor);
    return possible ? statement : withoutClause(statement, 'GRANTED', 'BY');
  });
}

const nameIn = (words: readonly string[], at: number): string => unquoteIdentifier(words[at] ?? '');
const key = (role: string, other: string): string => JSON.stringify([role, other]);
