import { describe, expect, it } from 'vitest';
import { readAlarmText, runbookLink, writeAlarmText } from '../../lib/core/alarm-text.ts';
import { type AlarmSubject, alarmCatalogue, alarmsFor, type Capability, sentenceOf } from '../../lib/core/alarms.ts';
import { metricCatalogue } from '../../lib/core/metrics.ts';
import { type AlarmNotice, isWorthTelling, slackAlarm } from '../../lib/core/slack-alarm.ts';

const all = new Set<Capability>(['backups', 'replication', 'wal', 'standby']);
const daily: AlarmSubject = {
  backupIntervalSeconds: 86_400,
  restoreTestIntervalSeconds: 7 * 86_400,
  objectives: { rpoSeconds: 86_400, rtoSeconds: 14_400 },
};
const limits = (subject: AlarmSubject) =>
  Object.fromEntries(alarmsFor(subject, all).map(({ id, limit }) => [id, limit]));

describe('the catalogue of alarms', () => {
  it('has the thresholds of the contract', () => {
    expect(limits(daily)).toMatchObject({
      'no-daily-backup': 26 * 3600,
      'backup-size-deviation': 50,
      'slow-upload': 1200,
      'wal-lag': 900,
      'wal-gap': 0,
      'replication-lag': 300,
      'replication-lag-bytes': 1e9,
      'restore-test-overdue': 8 * 86_400,
      'regional-copy-lag': 900,
      'rto-regression': 14_400,
    });
    expect(limits(daily)).not.toHaveProperty('replication-lag-critical');
  });

  it('follows the schedule and the profile', () => {
    const tight = { ...daily, backupIntervalSeconds: 3600, objectives: { rpoSeconds: 3600, rtoSeconds: 1800 } };
    expect(limits(tight)).toMatchObject({
      'no-daily-backup': 3600 + 900,
      'replication-lag': 10,
      'replication-lag-critical': 60,
    });
  });

  it('leaves out what is not configured, and its explanations with it', () => {
    const alone = alarmsFor(daily, new Set<Capability>(['replication']));
    expect(alone.map(({ id, explainedBy }) => [id, explainedBy])).toEqual([['regional-copy-lag', []]]);
  });

  it('is evaluated over a day at most, as CloudWatch demands, and explains no alarm by itself', () => {
    for (const [id, { periods, periodSeconds, metric, explainedBy }] of Object.entries(alarmCatalogue)) {
      expect(periods[0]).toBeLessThanOrEqual(periods[1]);
      expect(periods[1] * periodSeconds).toBeLessThanOrEqual(86_400);
      expect(metricCatalogue).toHaveProperty(metric);
      expect(explainedBy ?? []).not.toContain(id);
    }
  });

  it('says what is wrong in words with the threshold', () => {
    const said = alarmsFor(daily, all).map(sentenceOf);
    expect(said).toContain('No verified backup for 1 d 2 h');
    expect(said).toContain('The newest backup differs in size from the mean of 7 days by more than 50 %');
    for (const sentence of said) expect(sentence.length).toBeLessThan(120);
  });
});

const notice: AlarmNotice = {
  AlarmName: 'acme-orders-no-daily-backup',
  AlarmDescription: writeAlarmText({
    severity: 'critical',
    about: 'orders',
    says: 'No verified backup for 1 d 2 h',
    runbook: runbookLink('no-daily-backup', 'https://git.example.com/runbooks/'),
  }),
  NewStateValue: 'ALARM',
  OldStateValue: 'OK',
  NewStateReason: 'Threshold Crossed: 3 datapoints <b> & more',
  StateChangeTime: '2026-11-21T04:00:00.000+0000',
  Region: 'EU (Stockholm)',
  AlarmArn: 'arn:aws:cloudwatch:eu-north-1:111122223333:alarm:acme-orders-no-daily-backup',
};

describe('the message of an alarm', () => {
  it('says what is wrong, why, and where the runbook is', () => {
    const text = JSON.stringify(slackAlarm(notice));
    expect(text).toContain('🔴 Alarm: orders: No verified backup for 1 d 2 h');
    expect(text).toContain('<https://git.example.com/runbooks/no-daily-backup.md|no-daily-backup.md>');
    expect(text).toContain('3 datapoints &lt;b&gt; &amp; more');
    expect(text).toContain('eu-north-1.console.aws.amazon.com');
  });

  it('tells the end as well, and not the beginning of an alarm that was just made', () => {
    expect(slackAlarm({ ...notice, NewStateValue: 'OK' }).text).toMatch(/^🟢 Over: orders/);
    expect(isWorthTelling({ ...notice, NewStateValue: 'OK' })).toBe(true);
    expect(isWorthTelling({ ...notice, OldStateValue: 'INSUFFICIENT_DATA', NewStateValue: 'OK' })).toBe(false);
    expect(isWorthTelling({ ...notice, OldStateValue: 'INSUFFICIENT_DATA' })).toBe(true);
  });

  it('copes with alarms of others on the same topic, and stays inside the limits', () => {
    const foreign = slackAlarm({ ...notice, AlarmDescription: null, NewStateReason: 'x'.repeat(9000) });
    expect(foreign.text).toContain('acme-orders-no-daily-backup');
    const header = (foreign.blocks[0] as { text: { text: string } }).text.text;
    expect(header.length).toBeLessThanOrEqual(150);
    expect(Math.max(...foreign.blocks.map((block) => JSON.stringify(block).length))).toBeLessThan(3000);
  });

  it('reads back what was written', () => {
    expect(readAlarmText(notice.AlarmDescription ?? '')).toMatchObject({ severity: 'critical', about: 'orders' });
    expect(readAlarmText('anything else')).toBeUndefined();
    expect(runbookLink('x', undefined)).toBe('docs/runbooks/x.md');
  });
});
