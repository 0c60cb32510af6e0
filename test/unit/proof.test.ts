import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../lib/core/manifest.ts';
import { compareTables, highestLevel, judge, type Restored, totalRows } from '../../lib/core/proof.ts';
import { proofPage } from '../../lib/core/proof-page.ts';
import { sampleManifest } from './sample-manifest.ts';

const manifest = sampleManifest({
  databases: [
    {
      name: 'o',
      encoding: 'UTF8',
      collation: 'C',
      ctype: 'C',
      collationVersion: null,
      extensions: [{ name: 'citext', version: '1.6' }],
    },
  ],
});

const good: Restored = {
  tables: manifest.tables,
  sequences: manifest.sequences,
  inventory: manifest.inventory,
  extensions: [{ name: 'citext', version: '1.6' }],
  foreignKeys: [{ name: 'fk', table: 'orders', orphans: '0' }],
  ownedSequences: [{ sequence: 's', column: 'c', reached: true }],
};

const failing = (restored: Partial<Restored>, of: Manifest = manifest) => {
  const seen = { ...good, ...restored };
  return judge(of, seen, compareTables(of.tables, seen.tables)).filter((check) => !check.held);
};
const table = (changes: object) => ({
  tables: [{ ...(manifest.tables[0] as object), ...changes } as Manifest['tables'][number]],
});
const sequence = (changes: object) => ({
  sequences: [{ ...(manifest.sequences[0] as object), ...changes } as Manifest['sequences'][number]],
});

describe('the proof', () => {
  it('holds for a restore that equals its source', () => {
    expect(failing({})).toEqual([]);
    expect(totalRows(compareTables(manifest.tables, good.tables))).toBe('2');
  });

  it.each([
    ['a missing table', { tables: [] }, 'tables', 'L3'],
    [
      'a table that was not there',
      { tables: [...manifest.tables, { relation: 'public.x', rows: '0', hash1: '0', hash2: '0' }] },
      'tables',
      'L3',
    ],
    ['one row short', table({ rows: '1', hash1: '1' }), 'row counts', 'L3'],
    ['changed content', table({ hash1: '1' }), 'content', 'L4'],
    ['a change that only the second hash sees', table({ hash2: '1' }), 'content', 'L4'],
    ['a missing sequence', { sequences: [] }, 'sequences', 'L3'],
    ['a sequence that went back', sequence({ lastValue: '1' }), 'sequences', 'L3'],
    ['a sequence that forgot its last call', sequence({ isCalled: false }), 'sequences', 'L3'],
    [
      'a sequence behind its column',
      { ownedSequences: [{ sequence: 's', column: 'c', reached: false }] },
      'sequences cover their columns',
      'L3',
    ],
    ['an orphan', { foreignKeys: [{ name: 'fk', table: 'orders', orphans: '1' }] }, 'foreign keys', 'L3'],
    ['a missing extension', { extensions: [] }, 'extensions', 'L3'],
    ['a missing index', { inventory: { ...manifest.inventory, index: 0 } }, 'inventory', 'L3'],
  ])('fails on %s, by name', (_, restored, name, level) => {
    expect(failing(restored)).toContainEqual(expect.objectContaining({ name, level }));
  });

  it('lets a sequence be ahead of the snapshot, and one that counts down be below it', () => {
    expect(failing(sequence({ lastValue: '9' }))).toEqual([]);
    const down = sampleManifest({ ...manifest, ...sequence({ direction: 'down', lastValue: '-5' }) });
    expect(failing(sequence({ direction: 'down', lastValue: '-7' }), down)).toEqual([]);
    expect(failing(sequence({ direction: 'down', lastValue: '-4' }), down)).toHaveLength(1);
  });

  it('gives the highest level with none broken below', () => {
    const check = (level: 'L0' | 'L1' | 'L2' | 'L3' | 'L4', held: boolean) => ({
      level,
      held,
      name: level,
      detail: '',
    });
    expect(highestLevel([check('L0', true), check('L1', true), check('L2', false), check('L3', true)])).toBe('L1');
    expect(highestLevel([check('L0', false)])).toBeNull();
    expect(highestLevel([check('L1', true)])).toBeNull();
  });

  it('has a page that escapes what a database can be called', () => {
    const page = proofPage({
      schemaVersion: 1,
      id: 'p',
      database: '<script>alert(1)</script>',
      backupId: 'b',
      manifestKey: 'k',
      serverVersion: '17',
      level: null,
      holds: false,
      checks: [{ level: 'L3', name: 'n', held: false, detail: '"quoted" & <b>' }],
      tables: [],
      startedAt: '2026-11-21T02:00:00Z',
      restoreSeconds: 1,
      proofSeconds: 1,
      rpoSeconds: 1,
      rtoSeconds: 1,
    });
    expect(page).not.toContain('<script>');
    expect(page).toContain('&quot;quoted&quot; &amp; &lt;b&gt;');
    expect(page).toContain('Not proven');
  });
});
