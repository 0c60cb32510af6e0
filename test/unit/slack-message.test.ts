import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMessage } from '../../lib/cli/rehearse/webhook.ts';
import { describeFailure } from '../../lib/core/errors.ts';
import { approvalMessage } from '../../lib/core/failover/message.ts';
import type { FailoverSettings } from '../../lib/core/failover-settings.ts';
import type { Outcome } from '../../lib/core/outcome.ts';
import { metricsOf } from '../../lib/core/outcome-metrics.ts';
import { approvalSlackMessage, slackMessage } from '../../lib/core/slack-message.ts';

const outcome: Outcome = {
  schemaVersion: 1,
  workflow: 'restore-test',
  database: 'orders',
  ok: true,
  startedAt: '2026-11-21T02:00:00Z',
  endedAt: '2026-11-21T02:01:00Z',
  durationSeconds: 60,
  region: 'eu-north-1',
  executionArn: 'arn',
  executionUrl: 'https://x',
  objectives: { rpoSeconds: 3600, rtoSeconds: 100 },
  proof: {
    id: 'p',
    reportKey: 'k',
    backupId: 'b',
    level: 'L4',
    databases: ['orders'],
    partial: null,
    tables: 3,
    rows: '12',
    restoreSeconds: 1,
    proofSeconds: 1,
    rpoSeconds: 10,
    rtoSeconds: 200,
  },
};
const failed = (message: string): Outcome => ({
  ...outcome,
  workflow: 'backup-logical',
  ok: false,
  proof: undefined,
  failure: { step: 'Take backup', ...describeFailure('DumpFailed', message) },
});
const texts = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : typeof value === 'object' && value ? Object.values(value).flatMap(texts) : [];

describe('a Slack message', () => {
  it('tells a success with what was measured against the objective', () => {
    const all = texts(slackMessage(outcome)).join('\n');
    expect(all).toContain('Restore proven: orders');
    expect(all).toContain('L4, 3 tables, 12 rows');
    expect(all).toContain('3 min 20 s, objective 1 min 40 s ⚠️ missed');
    expect(all).toContain('10 s, objective 1 h');
  });

  it('asks for an approval with its reasons and the commands that answer, whatever the reasons say', () => {
    const message = approvalMessage({
      settings: { database: 'orders', region: 'us-east-1' } as FailoverSettings,
      run: 'fo-orders-2-1',
      operation: 'failover',
      reasons: ['the primary looks <healthy> & well', 'x'.repeat(5000)],
    });
    const slack = approvalSlackMessage(message);
    const all = texts(slack).join('\n');
    expect(all).toContain('pgdr approve orders --region us-east-1 --run fo-orders-2-1');
    expect(all).toContain('pgdr abort orders --region us-east-1 --run fo-orders-2-1');
    expect(all).toContain('looks &lt;healthy&gt; &amp; well');
    expect(readMessage(JSON.stringify(slack))).toMatchObject({ text: slack.text });
  });

  it('names the failing step, its first error, what is intact and the runbook', () => {
    const all = texts(slackMessage(failed('pg_dump was killed by SIGKILL'))).join('\n');
    for (const part of [
      'DumpFailed',
      'Take backup',
      'pg_dump was killed by SIGKILL',
      'left no manifest',
      'docs/runbooks/backup-failed.md',
    ]) {
      expect(all).toContain(part);
    }
  });

  it('stays within the limits of Block Kit and escapes whatever an error says', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 6000, unit: 'grapheme' }),
          fc.constant('<!channel> `````` & <http://x|y>'.repeat(300)),
        ),
        (message) => {
          const { blocks } = slackMessage(failed(message));
          expect(blocks.length).toBeLessThanOrEqual(50);
          for (const block of blocks as { type: string; text?: { text: string }; fields?: { text: string }[] }[]) {
            if (block.type === 'header') expect(block.text?.text.length).toBeLessThanOrEqual(150);
            if (block.type === 'section') expect((block.text?.text ?? '').length).toBeLessThanOrEqual(3000);
            for (const field of block.fields ?? []) expect(field.text.length).toBeLessThanOrEqual(2000);
            expect(JSON.stringify(block)).not.toContain('<!channel>');
          }
        },
      ),
    );
  });
});

describe('metrics of an outcome', () => {
  it('publish a zero on failure', () => {
    expect(Object.fromEntries(metricsOf(failed('x')))).toEqual({ BackupSucceeded: 0 });
    expect(Object.fromEntries(metricsOf({ ...outcome, ok: false, proof: undefined }))).toEqual({
      RestoreTestSucceeded: 0,
      ProofLevel: -1,
    });
  });
  it('publish what a restore test measured', () => {
    expect(Object.fromEntries(metricsOf(outcome))).toMatchObject({
      RestoreTestSucceeded: 1,
      ProofLevel: 4,
      MeasuredRtoSeconds: 200,
      MeasuredRpoSeconds: 10,
    });
  });
});
