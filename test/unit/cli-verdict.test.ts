import { describe, expect, it } from 'vitest';
import { type Evidence, expectedMetrics, judgeRehearsal } from '../../lib/cli/rehearse/verdict.ts';
import type { Manifest } from '../../lib/core/manifest.ts';
import type { ProofReport } from '../../lib/core/proof.ts';

const manifest = {
  id: 'b1',
  objects: [{ parts: [{}, {}] }, { parts: [{}] }],
  databases: [{ name: 'orders', tables: [{ relation: 'public.a' }, { relation: 'public.b' }] }],
} as unknown as Manifest;
const table = (relation: string) => ({ relation, expectedRows: '3', rows: '3', hashesEqual: true });
const proofOf = (tables: object[]) => [
  { name: 'orders', tables, checks: [{ level: 'L4', name: 'content', held: true, detail: '' }] } as never,
];
const proof = {
  backupId: 'b1',
  level: 'L4',
  holds: true,
  databases: proofOf([table('public.a'), table('public.b')]),
} as unknown as ProofReport;
const good: Evidence = {
  backup: { status: 'SUCCEEDED', manifest, verification: { parts: 3 } as never },
  restore: { status: 'SUCCEEDED', proof },
  metrics: {
    ...Object.fromEntries(expectedMetrics.map((name) => [name, 5])),
    BackupSucceeded: 1,
    RestoreTestSucceeded: 1,
  },
  slackMessages: 2,
  slackRefused: [],
  commitsDuringBackup: 10,
};

const broken = (evidence: Evidence) => judgeRehearsal(evidence).flatMap((check) => (check.ok ? [] : [check.name]));

describe('the verdict over a rehearsal', () => {
  it('holds when everything does', () => expect(broken(good)).toEqual([]));

  it('holds when the proof goes further', () => {
    const further = { ...proof, level: 'L5' } as ProofReport;
    expect(broken({ ...good, restore: { ...good.restore, proof: further } })).toEqual([]);
  });

  const cases: [string, Evidence][] = [
    ['backup-logical succeeded', { ...good, backup: { ...good.backup, status: 'FAILED' } }],
    ['every part was read back', { ...good, backup: { ...good.backup, verification: { parts: 2 } as never } }],
    ['every part was read back', { ...good, backup: { status: 'SUCCEEDED', manifest } }],
    ['restore-test succeeded', { ...good, restore: { ...good.restore, status: 'TIMED_OUT' } }],
    ['the proof is of this backup', { ...good, restore: { ...good.restore, proof: { ...proof, backupId: 'b0' } } }],
    ['the proof holds to L4', { ...good, restore: { ...good.restore, proof: { ...proof, level: 'L3' } } }],
    ['the proof holds to L4', { ...good, restore: { ...good.restore, proof: { ...proof, holds: false } } }],
    [
      'every table is proven equal',
      { ...good, restore: { ...good.restore, proof: { ...proof, databases: proofOf([table('public.a')]) } } },
    ],
    [
      'every table is proven equal',
      {
        ...good,
        restore: {
          ...good.restore,
          proof: { ...proof, databases: proofOf([table('public.a'), { ...table('public.b'), hashesEqual: false }]) },
        },
      },
    ],
    ['metric BackupSucceeded = 1', { ...good, metrics: { ...good.metrics, BackupSucceeded: 0 } }],
    ['metric RestoreTestSucceeded = 1', { ...good, metrics: { ...good.metrics, RestoreTestSucceeded: 0 } }],
    [
      'every metric of backups and restore tests came',
      { ...good, metrics: { ...good.metrics, BackupAgeSeconds: undefined } },
    ],
    ['Slack took two messages', { ...good, slackMessages: 1 }],
    ['Slack took two messages', { ...good, slackRefused: ['no_text'] }],
    ['the source was written to meanwhile', { ...good, commitsDuringBackup: 0 }],
  ];
  it.each(cases)('does not hold without: %s', (name, evidence) => expect(broken(evidence)).toEqual([name]));

  it('does not hold on nothing', () => {
    expect(broken({ ...good, backup: { status: 'FAILED' }, restore: { status: 'FAILED' } }).length).toBeGreaterThan(5);
  });
});
