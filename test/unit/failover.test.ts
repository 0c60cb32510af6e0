import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../lib/config/schema.ts';
import { decide } from '../../lib/core/failover/decision.ts';
import type { Evidence } from '../../lib/core/failover/evidence.ts';
import { bumpedValue, lossBracket, rtoByPhase } from '../../lib/core/failover/measure.ts';
import { parseFailoverRequest } from '../../lib/core/failover/request.ts';
import type { Role, ServerName } from '../../lib/core/failover/role.ts';
import * as roles from '../../lib/core/failover/role.ts';

const stopped = { fence: 'stop', evidence: 'the task is STOPPED' } as const;

describe('a request', () => {
  test('may be empty', () =>
    expect(parseFailoverRequest({})).toEqual({
      reason: 'not given',
      dryRun: false,
      force: false,
      maxLossSeconds: null,
      approval: 'auto',
      startedBy: 'operator',
      skipBackup: null,
      attest: null,
    }));
  test('is refused with the field that is wrong', () => {
    expect(() => parseFailoverRequest({ maxLossSeconds: -1 })).toThrow(/maxLossSeconds/);
    expect(() => parseFailoverRequest({ forced: true })).toThrow(/forced/);
  });
});

const healthyStandby = {
  reachable: true,
  inRecovery: true,
  streaming: false,
  replayLagBytes: 0,
  replayPaused: false,
  timeline: 1,
  heartbeatAgeSeconds: 2,
  detail: '',
};
const down = (name: string) => ({ name, sees: 'down', detail: 'refused' }) as const;
const clear: Evidence = {
  observers: [down('recovery-region'), down('replication'), { name: 'primary-region', sees: 'unknown', detail: '' }],
  standby: healthyStandby,
  lossSeconds: 1,
  synchronous: false,
  fences: ['stop'],
};
const limits = { automatic: true, maxLossSeconds: 30 };
const alarm = parseFailoverRequest({ startedBy: 'alarm' });

describe('a decision', () => {
  test('is go where the evidence is clear', () => expect(decide(alarm, limits, clear).verdict).toBe('go'));

  const up = { name: 'recovery-region', sees: 'up', detail: 'wrote' } as const;
  test.each<[string, Partial<Evidence>, RegExp]>([
    ['looks healthy', { observers: [up, down('a'), down('b')] }, /looks healthy/],
    ['one observer', { observers: [down('a'), { ...up, sees: 'unknown' }] }, /1 of 2 observers/],
    ['unknown loss', { lossSeconds: null }, /Nobody knows/],
    ['too much loss', { lossSeconds: 31 }, /limit is 30 s/],
    ['no fence', { fences: [] }, /attest/],
  ])('asks a person: %s', (_, change, reason) => {
    const decision = decide(alarm, limits, { ...clear, ...change });
    expect(decision.verdict).toBe('approve');
    expect(decision.reasons.join(' ')).toMatch(reason);
    expect(decide(parseFailoverRequest({ force: true }), limits, { ...clear, ...change }).verdict).toBe('go');
    // An alarm cannot force.
    expect(decide({ ...alarm, force: true }, limits, { ...clear, ...change }).verdict).toBe('approve');
  });

  test('asks a person when automatic failover is off and an alarm started it', () => {
    expect(decide(alarm, { ...limits, automatic: false }, clear).verdict).toBe('approve');
    expect(decide(parseFailoverRequest({}), { ...limits, automatic: false }, clear).verdict).toBe('go');
    expect(decide(parseFailoverRequest({ approval: 'always' }), limits, clear).verdict).toBe('approve');
  });

  test.each<[string, Partial<Evidence['standby']>]>([
    ['unreachable', { reachable: false }],
    ['a primary', { inRecovery: false }],
    ['of unknown age', { heartbeatAgeSeconds: null }],
    ['paused', { replayPaused: true }],
  ])('refuses a standby that is %s, forced or not', (_, change) => {
    const evidence = { ...clear, standby: { ...healthyStandby, ...change } };
    expect(decide(parseFailoverRequest({ force: true }), limits, evidence).verdict).toBe('refuse');
  });

  test('needs no bound of the loss where replication is synchronous', () =>
    expect(decide(alarm, limits, { ...clear, lossSeconds: null, synchronous: true }).verdict).toBe('go'));
});

describe('the role item', () => {
  const began = (id = 'a', role: Role = roles.initialRole('orders'), now = 0): Role =>
    roles.begin(role, { id, operation: 'failover', target: 'standby', now });
  const fenced = () => roles.recordFence(roles.reserve(began(), 'a', 1), 'a', stopped, 2);

  test('goes from writer to writer under the next epoch', () => {
    const done = roles.release(roles.recordPromotion(roles.commit(fenced(), 'a', 3), 'a', 4), 'a');
    expect(done).toEqual({ database: 'orders', writer: 'standby', epoch: 2, run: null });
  });

  test('is not taken from a run that is at work, and is from one that crashed', () => {
    expect(() => began('b', began('a'), 1)).toThrow(/is at work/);
    expect(began('b', began('a'), roles.leaseMilliseconds).run?.id).toBe('b');
  });

  test('is taken by a failover from a planned change that has changed nothing yet, and from no other', () => {
    const planned = roles.begin(roles.initialRole('orders'), {
      id: 'p',
      operation: 'failback',
      target: 'standby',
      now: 0,
    });
    const taken = began('a', planned, 1);
    expect(taken.run).toMatchObject({ id: 'a', operation: 'failover', phase: 'deciding' });
    expect(() => roles.reserve(taken, 'p', 2)).toThrow(/lost the role item to a/);
    expect(() => began('a', roles.reserve(planned, 'p', 1), 2)).toThrow(/is at work/);
    expect(() => roles.begin(planned, { id: 'q', operation: 'failback', target: 'primary', now: 1 })).toThrow(
      /at work/,
    );
  });

  test('makes a run carry on what another left behind its point of no return', () => {
    const left = roles.release(roles.commit(fenced(), 'a', 3), 'a');
    const taken = began('b', left, 4);
    expect(taken.run).toMatchObject({ id: 'b', phase: 'committed', epoch: 2, fence: stopped });
    expect(() => roles.recordPromotion(taken, 'a', 5)).toThrow(/lost the role item to b/);
    expect(() => roles.begin(left, { id: 'c', operation: 'failback', target: 'primary', now: 4 })).toThrow(/passed/);
  });

  test('can be aborted up to its point of no return', () => {
    const aborted = roles.requestAbort(fenced(), 'changed my mind');
    expect(() => roles.commit(aborted, 'a', 5)).toThrow('changed my mind');
    expect(() => roles.requestAbort(roles.commit(fenced(), 'a', 5), 'late')).toThrow(/past its point/);
    expect(() => roles.requestAbort(roles.initialRole('orders'), 'x')).toThrow(/nothing of orders/);
  });

  test('gives the same answer to the same step twice', () => {
    for (const step of [
      (role: Role) => roles.reserve(role, 'a', 9),
      (role: Role) => roles.recordFence(role, 'a', stopped, 9),
      (role: Role) => roles.commit(role, 'a', 9),
      (role: Role) => roles.recordPromotion(role, 'a', 9),
    ]) {
      const once = roles.recordPromotion(roles.commit(fenced(), 'a', 3), 'a', 4);
      expect(step(once)).toEqual(roles.stillMine(once, 'a', 9));
    }
  });

  /**
   * Whatever executions do in whatever order, crashes and aborts included: a writer changes only with a proof of its
   * fence, epochs only grow, no epoch has two writers, and nobody holds a lease to write while his end is reserved.
   */
  test('never lets two epochs acknowledge', () => {
    const ids = ['a', 'b', 'c'];
    const action = fc.record({
      id: fc.constantFrom(...ids),
      do: fc.constantFrom('begin', 'reserve', 'fence', 'commit', 'promoted', 'abort', 'release', 'wait'),
      target: fc.constantFrom<ServerName>('primary', 'standby'),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        let role = roles.initialRole('orders');
        let now = 0;
        const lastHandover: string[] = ['primary'];
        const writers = new Map<number, ServerName>([[1, 'primary']]);
        for (const { id, do: what, target } of actions) {
          now += what === 'wait' ? roles.leaseMilliseconds + 1 : 1;
          const before = role;
          try {
            if (what === 'begin') role = roles.begin(role, { id, operation: 'failover', target, now });
            if (what === 'reserve') role = roles.reserve(role, id, now);
            if (what === 'fence') role = roles.recordFence(role, id, stopped, now);
            if (what === 'commit') role = roles.commit(role, id, now);
            if (what === 'promoted') role = roles.recordPromotion(role, id, now);
            if (what === 'abort') role = roles.requestAbort(role, 'x');
            if (what === 'release') role = roles.release(role, id);
          } catch {}
          expect(role.epoch).toBeGreaterThanOrEqual(before.epoch);
          if (role.epoch !== before.epoch) {
            expect(before.run).toMatchObject({ phase: 'committed', fence: stopped, epoch: role.epoch });
            expect(writers.has(role.epoch)).toBe(false);
            writers.set(role.epoch, role.writer);
          }
          expect(writers.get(role.epoch)).toBe(role.writer);
          const { run } = role;
          if (run && ['reserved', 'fenced'].includes(run.phase)) expect(roles.mayWrite(role)).toBe('nobody');
          if (run?.phase === 'committed') expect(run.fence).not.toBeNull();
          if (roles.mayWrite(role) !== roles.mayWrite(before)) lastHandover.push(roles.mayWrite(role));
        }
        // Between two servers that may write there is always a time in which nobody may.
        for (const [i, server] of lastHandover.entries())
          expect(server === 'nobody' || lastHandover[i - 1] === undefined || lastHandover[i - 1] === 'nobody').toBe(
            true,
          );
      }),
      { numRuns: 500 },
    );
  });
});

describe('measuring', () => {
  test('the loss bracket holds the truth whenever probes told the truth', () => {
    const moment = fc.integer({ min: 0, max: 100_000 });
    fc.assert(
      fc.property(moment, moment, moment, (recovered, gapToDeath, gapToProbe) => {
        const died = recovered + gapToDeath;
        const lastGoodAt = died - Math.min(gapToProbe, died);
        const bracket = lossBracket({
          lastGoodAt,
          firstFailedAt: died + gapToProbe,
          lastRecoveredAt: recovered,
          nothing: null,
        });
        expect(bracket?.lowerSeconds).toBeLessThanOrEqual(gapToDeath / 1000);
        expect(bracket?.upperSeconds).toBeGreaterThanOrEqual(gapToDeath / 1000);
      }),
    );
  });
  test('says when it does not know', () => {
    const unknown = { lastGoodAt: 1, firstFailedAt: null, lastRecoveredAt: null, nothing: null };
    expect(lossBracket(unknown)).toBeNull();
    expect(lossBracket({ ...unknown, lastRecoveredAt: 0 })?.upperSeconds).toBe(Number.POSITIVE_INFINITY);
    expect(lossBracket({ ...unknown, nothing: 'x' })).toMatchObject({ upperSeconds: 0 });
    const leased = { lastGoodAt: 1000, firstFailedAt: 2000, lastRecoveredAt: 1500, nothing: null, leaseOverAt: 9000 };
    expect(lossBracket(leased)).toMatchObject({ lowerSeconds: 0, upperSeconds: 7.5 });
  });
  test('phases add up to the whole', () => {
    const marks = {
      detected: 1500,
      decided: 1700,
      fenced: 1900,
      promoted: 2100,
      'name-moved': 2050,
      'first-write': 2500,
    };
    const phases = rtoByPhase(0, marks);
    expect(phases.reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(2.5);
    expect(phases.find(({ phase }) => phase === 'name-moved')?.seconds).toBe(0);
  });
  test('sequences are bumped within their bounds, down too', () => {
    const up = { lastValue: 5n, increment: 2n, min: 1n, max: 100n };
    expect(bumpedValue({ ...up, by: 10n })).toBe(25n);
    expect(bumpedValue({ ...up, by: 100n })).toBeNull();
    expect(bumpedValue({ lastValue: -5n, increment: -1n, min: -100n, max: -1n, by: 10n })).toBe(-15n);
  });
});

describe('the configuration', () => {
  const endpoint = {
    zone: 'db.internal',
    zoneId: 'Z0123456789ABCDEFGHIJ',
    name: 'orders',
    primary: 'orders-1.db.internal',
    standby: 'orders-2.db.internal',
  };
  const failover = { secret: 'orders/control', primary: { kind: 'ecs', cluster: 'db', service: 'orders-1' } };
  const parse = (changes: object) =>
    parseConfig({
      name: 'acme',
      regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
      databases: [{ name: 'orders', version: 17, primary: { secret: 'orders/primary' }, ...changes }],
    }).databases[0];

  test('fills in what is safe', () => {
    expect(parse({ standby: { secret: 'orders/standby' }, endpoint, failover })?.failover).toMatchObject({
      automatic: false,
      maxLoss: 30,
      fences: ['stop'],
      applications: [],
    });
  });
  const standby = { secret: 's' };
  test.each<[string, object, RegExp]>([
    ['half of it', { standby }, /endpoint is missing, though standby is set/],
    ['a managed engine', { engine: 'rds', standby, endpoint, failover }, /servers of your own/],
    ['a fence without a hold', { standby, endpoint, failover: { secret: 'x' } }, /the fence 'stop' stops it/],
    [
      'automatic without a fence',
      { standby, endpoint, failover: { ...failover, automatic: true, fences: [] } },
      /two primaries could accept writes/,
    ],
    ['no zone', { standby, failover, endpoint: { ...endpoint, zoneId: undefined } }, /exactly one of them/],
    ['a circle', { standby, failover, endpoint: { ...endpoint, standby: 'orders.db.internal' } }, /the name itself/],
  ])('refuses %s', (_, changes, words) => expect(() => parse(changes)).toThrow(words));
});
