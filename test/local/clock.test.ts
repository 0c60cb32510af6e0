import { afterEach, describe, expect, it } from 'vitest';
import { type CloudClock, createCloudClock } from '../../local/clock.ts';

let clock: CloudClock;
afterEach(() => clock.stop());

describe('a cloud clock', () => {
  it('runs as many times faster as it was told', async () => {
    clock = createCloudClock({ rate: 1000, start: 0 });
    const began = performance.now();
    await clock.sleep(100_000);
    const took = performance.now() - began;
    expect(clock.now()).toBeGreaterThanOrEqual(100_000);
    expect(took).toBeGreaterThan(90);
    expect(took).toBeLessThan(2000);
  });

  it('calls what comes due on the way forward, each at its own time and in order', async () => {
    clock = createCloudClock({ start: 0 });
    const seen: [string, number][] = [];
    const note = (name: string) => seen.push([name, Math.round(clock.now() / 1000)]);
    clock.timer(7200_000, () => note('later'));
    clock.timer(3600_000, () => {
      note('hour');
      clock.timer(600_000, () => note('ten minutes on'));
    });
    clock.timer(86_400_000, () => note('tomorrow'));
    await clock.advance(10_000_000);
    expect(seen).toEqual([
      ['hour', 3600],
      ['ten minutes on', 4200],
      ['later', 7200],
    ]);
    expect(Math.round(clock.now() / 1000)).toBe(10_000);
  });

  it('lets what waited set its next timer before it moves on', async () => {
    clock = createCloudClock({ start: 0 });
    const times: number[] = [];
    const repeat = (async () => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(60_000);
        times.push(Math.round(clock.now() / 60_000));
      }
    })();
    await clock.advance(240_000);
    await repeat;
    expect(times).toEqual([1, 2, 3]);
  });

  it('forgets a cancelled timer, and a sleep that is called off', async () => {
    clock = createCloudClock({ start: 0 });
    let fired = false;
    clock.timer(1000, () => {
      fired = true;
    })();
    const off = new AbortController();
    const sleeping = clock.sleep(1000, off.signal);
    off.abort(new Error('called off'));
    await expect(sleeping).rejects.toThrow('called off');
    await clock.advance(5000);
    expect(fired).toBe(false);
  });

  it('refuses to go backwards or to stand still', () => {
    clock = createCloudClock();
    expect(() => clock.advance(-1)).toThrow(/forward only/);
    expect(() => createCloudClock({ rate: 0 })).toThrow(/rate/);
  });
});
