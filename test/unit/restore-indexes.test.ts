import type { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import type { TocEntry } from '../../lib/core/archive-toc.ts';
import type { RestorePlan } from '../../lib/core/restore-plan.ts';
import type { InvalidIndex } from '../../lib/postgres/integrity.ts';
import { mendingStatements, requireValidIndexes } from '../../tasks/restore-indexes.ts';
import { sampleDatabase } from './sample-manifest.ts';

const attach = (id: number, child: string): TocEntry => ({
  id,
  kind: 'INDEX ATTACH',
  tag: child,
  schema: 'public',
  owner: 'postgres',
  section: 'post-data',
  definition: `ALTER INDEX public.events_at ATTACH PARTITION public.${child};`,
  dependencies: [],
  copy: null,
});
const toc = [attach(1, 'events_1_at'), attach(2, 'events_2_at')];
const sample = sampleDatabase();
const whole = { selection: null, entries: null } as RestorePlan;
const part = { ...whole, selection: { chosen: [toc[1]], needed: [] } } as unknown as RestorePlan;
const head: InvalidIndex = { name: 'public.events_at', partitioned: true, overForeign: false };

/** A server with invalid indexes, of which the given number of statements makes all valid. */
function server(invalid: readonly InvalidIndex[], mendedBy = Number.POSITIVE_INFINITY) {
  const statements: string[] = [];
  const query = async (sql: string) => {
    if (sql.includes('pg_index')) return { rows: statements.length < mendedBy ? invalid : [] };
    statements.push(sql);
    throw new Error('already attached');
  };
  return { client: { query } as unknown as Client, statements };
}

describe('indexes at the end of a restore', () => {
  it('are left alone when all are valid, or were invalid in the source', async () => {
    const known = { defects: { ...sample.defects, indexesInvalid: [head.name] } };
    for (const [invalid, manifest] of [
      [[], sample],
      [[head], known],
    ] as const) {
      const { client, statements } = server(invalid);
      expect(await requireValidIndexes(client, toc, whole, manifest)).toEqual([]);
      expect(statements).toEqual([]);
    }
  });

  it('are attached again, and those that are then valid are no matter', async () => {
    const { client, statements } = server([head], 2);
    expect(await requireValidIndexes(client, toc, whole, sample)).toEqual([]);
    expect(statements).toEqual(toc.map(({ definition }) => definition));
  });

  it('end the restore by name when they stay invalid', async () => {
    const { client } = server([head]);
    await expect(requireValidIndexes(client, toc, whole, sample)).rejects.toMatchObject({
      name: 'IndexesInvalid',
      message: 'not valid: public.events_at; already attached',
    });
  });

  it('are named as left out where nothing could make them valid', async () => {
    const overForeign = server([{ ...head, overForeign: true }]).client;
    expect(await requireValidIndexes(overForeign, toc, whole, sample)).toMatchObject([
      { what: 'validity of index public.events_at', why: 'a partition is a foreign table, which has no index' },
    ]);
    expect(await requireValidIndexes(server([head]).client, toc, part, sample)).toHaveLength(1);
  });

  it('are mended by what was restored alone', () => {
    const leaf = { name: 'public.events_1_at', partitioned: false };
    const attached = toc.map(({ definition }) => definition);
    expect(mendingStatements([leaf, head], toc, whole)).toEqual(['REINDEX INDEX public.events_1_at', ...attached]);
    expect(mendingStatements([head], toc, part)).toEqual([attached[1]]);
    expect(mendingStatements([head], toc, { selection: null, entries: [1] })).toEqual([attached[0]]);
  });
});
