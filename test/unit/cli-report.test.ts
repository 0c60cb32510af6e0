import { describe, expect, it } from 'vitest';
import { reportPage } from '../../lib/cli/rehearse/report/page.ts';
import type { RehearsalResult } from '../../lib/cli/rehearse/result.ts';

const hostile = `<script>alert("x")</script>'&`;

const result: RehearsalResult = {
  schemaVersion: 1,
  ok: false,
  startedAt: '2026-11-21T00:00:00.000Z',
  seconds: 61,
  postgres: { version: '15.18', major: 15 },
  steps: [
    { name: 'Synthesize', ok: true, seconds: 2, offset: 0, group: 'prepare' },
    { name: hostile, ok: false, seconds: 8, offset: 2, group: 'backup-logical', detail: hostile },
  ],
  slack: {
    messages: [{ at: '', text: hostile, blocks: [{ type: 'section', text: { type: 'mrkdwn', text: hostile } }] }],
  },
  metrics: { BackupSucceeded: 0 },
  checks: [{ name: hostile, ok: false, detail: hostile }],
  proof: {
    id: 'p',
    reportKey: hostile,
    backupId: 'b',
    level: 'L2',
    holds: false,
    databases: ['orders'],
    partial: null,
    tables: 1,
    rows: '12',
    restoreSeconds: 1,
    proofSeconds: 1,
    perTable: [{ relation: hostile, expectedRows: '1', rows: null, hashesEqual: false }],
    checks: [{ level: 'L3', name: 'tables', held: false, detail: hostile }],
  },
  error: { name: 'DumpFailed', message: hostile, step: 'Take backup', tryNext: hostile },
  reportPath: '/tmp/report.html',
};

describe('the report of a rehearsal', () => {
  const page = reportPage(result);

  it('lets nothing of the data become markup', () => {
    expect(page).not.toContain('<script');
    expect(page.match(/&#60;script&#62;alert\(&#34;x&#34;\)/g)?.length).toBeGreaterThan(8);
  });

  it('needs nothing but itself', () => {
    expect(page).not.toMatch(/<(link|img|iframe|object)|@import|url\(/i);
    expect(page).toContain("default-src 'none'");
  });

  it('says in its headline that it failed, and why', () => {
    expect(page).toMatch(/<h1>✗ Rehearsal failed: DumpFailed<\/h1>/);
    expect(page).toMatch(/missing<\/td>/);
  });

  it('draws every step where it was', () => {
    expect(page).toContain('left:20.000%;width:80.000%');
  });

  it('says in its headline what was proven', () => {
    const { error: _, ...good } = {
      ...result,
      ok: true,
      proof: { ...(result.proof as never as object), level: 'L4' } as RehearsalResult['proof'],
    };
    expect(reportPage(good)).toContain('<h1>✓ Backup restored and proven equal to L4</h1>');
  });

  it('shows what a failover cost, or why there was none', () => {
    const summary = {
      phases: [{ phase: 'promoted' as const, seconds: 0.25 }],
      rtoSeconds: 2.5,
      fence: { fence: 'stop' as const, evidence: hostile },
      loss: { lowerSeconds: 0, upperSeconds: null, note: null },
    };
    const failover = {
      rtoSeconds: 2,
      failover: summary,
      failback: { fence: null },
      lostWrites: 3,
      lostSeconds: 0.1,
      failbackGapSeconds: 1,
      acknowledged: 900,
      checks: [],
    } as unknown as NonNullable<RehearsalResult['failover']>;
    const text = reportPage({ ...result, failover });
    expect(text).toMatch(/promoted<\/td><td class="n">0.3 s|promoted<\/td><td class="n">0.2/);
    expect(text).toContain('3 of 900 acknowledged writes, 0.1 s; 0 s to unknown was reported');
    expect(text).not.toContain('<script');
    expect(reportPage({ ...result, failoverOmitted: hostile })).toContain('Not rehearsed: &#60;script');
  });
});
