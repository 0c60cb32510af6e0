import { describe, expect, test } from 'vitest';
import { drillSchedule } from '../../lib/config/drill-schedule.ts';
import { parseConfig } from '../../lib/config/schema.ts';
import { type DrillFigures, isolatedPhases, knownSeconds, regressionsOf } from '../../lib/core/failover/drill.ts';

const endpoint = {
  name: 'n',
  mode: 'health-check',
  ttlSeconds: 5,
  zoneId: null,
  primaryTarget: 'p',
  standbyTarget: 's',
} as const;
const settings = { probeSeconds: 10, fences: ['stop' as const], leaseSeconds: 15, endpoint };
const measured = { decidedSeconds: 1.5, promotedSeconds: 0.4 };

describe('what a drill knows of the phases', () => {
  test('it measured two of them, and bounds others by settings', () => {
    const phases = isolatedPhases(settings, measured);
    expect(phases.map(({ phase, seconds, how }) => [phase, seconds, how])).toEqual([
      ['detected', 36, 'bounded'],
      ['decided', 1.5, 'measured'],
      ['fenced', null, 'unknown'],
      ['promoted', 0.4, 'measured'],
      ['name-moved', 65, 'bounded'],
      ['first-write', null, 'unknown'],
    ]);
    expect(knownSeconds(phases)).toBeCloseTo(102.9);
  });
  test.each([
    ['lease', 16.5],
    ['synchronous', 0],
  ] as const)('a fence %s is bounded', (fence, seconds) => {
    const fenced = isolatedPhases({ ...settings, fences: [fence, 'stop'] }, measured).find(
      ({ phase }) => phase === 'fenced',
    );
    expect(fenced).toMatchObject({ seconds, how: 'bounded' });
  });
});

describe('what is worse', () => {
  const drill = (promotedSeconds: number, upperSeconds = 1): DrillFigures => {
    const phases = isolatedPhases(settings, { ...measured, promotedSeconds });
    const loss = { lowerSeconds: 0, upperSeconds, note: null };
    return { id: `d${promotedSeconds}`, kind: 'isolated', phases, rtoSeconds: knownSeconds(phases), loss };
  };
  const loose = { rpoSeconds: 30, rtoSeconds: 3600 };
  test('than the objectives', () => {
    expect(regressionsOf(drill(1, 40), null, { rpoSeconds: 30, rtoSeconds: 60 })).toEqual([
      'RTO of 104 s misses the objective of 60 s',
      'RPO of 40 s misses the objective of 30 s',
    ]);
  });
  test('than the drill before, by a fifth and a second', () => {
    expect(regressionsOf(drill(6), drill(2), loose)).toEqual(['promoted took 6 s, 2 s at drill d2']);
    expect(regressionsOf(drill(2.9), drill(2), loose)).toEqual([]);
    expect(regressionsOf(drill(21), drill(19), loose)).toEqual([]);
    expect(regressionsOf(drill(6), { ...drill(2), kind: 'full' }, loose)).toEqual([]);
  });
});

describe('when', () => {
  const database = (changes: object, drill: object = {}) =>
    parseConfig({
      name: 'acme',
      regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
      databases: [
        {
          name: 'orders',
          version: 17,
          primary: { secret: 'a' },
          standby: { secret: 'b' },
          endpoint: {
            zone: 'db.internal',
            zoneId: 'Z0123456789ABC',
            name: 'orders',
            primary: 'a.db.internal',
            standby: 'b.db.internal',
          },
          failover: { secret: 'c', fences: [], ...drill },
          ...changes,
        },
      ],
    }).databases[0] as never;
  test('each quarter, each week where minutes count, or as configured', () => {
    expect(drillSchedule(database({}))).toBe('cron(0 5 1 1,4,7,10 ? *)');
    expect(drillSchedule(database({ objectives: { rto: '30 minutes' } }))).toBe('cron(0 5 ? * SUN *)');
    expect(drillSchedule(database({}, { drill: { schedule: 'rate(30 days)' } }))).toBe('rate(30 days)');
  });
});
