import { randomBytes } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ClientKey, decrypting, encrypting, openClientKey } from '../../lib/aws/client-encryption.ts';
import { frameBytes } from '../../lib/core/encryption.ts';
import {
  backupFolder,
  decrypt,
  east,
  encrypt,
  inChunks,
  type KeyCloud,
  north,
  objectKey,
  startKeyCloud,
} from './client-key-cloud.ts';

let keys: KeyCloud;
const keyIn = (region: string): Promise<ClientKey> => keys.keyIn(region);

beforeAll(async () => {
  keys = await startKeyCloud();
});
afterEach(() => keys.cloud.outage(north, 'up'));
afterAll(() => keys?.close());

describe('an object that is encrypted before it is stored', () => {
  const plain = randomBytes(3 * frameBytes + 17);

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a few bytes', Buffer.from('customer@example.com')],
    ['exactly a frame', randomBytes(frameBytes)],
    ['frames and a rest', plain],
  ])('comes back: %s', async (_, content) => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, content);
    expect(sealed.includes(content.subarray(0, 16)) && content.length > 0).toBe(false);
    expect(sealed.length).toBeLessThan(content.length * 1.001 + 1200);
    expect(await decrypt(key, sealed)).toEqual({ plain: content, error: undefined });
  });

  it('is opened in the recovery region by its own key while the primary region is down, and the other way', async () => {
    const sealed = await encrypt(await keyIn(north), plain);
    const elsewhere = await keyIn(east);
    keys.cloud.outage(north, 'down');
    expect(elsewhere.arn).toMatch(/^arn:aws:kms:us-east-1:\d+:key\/mrk-/);
    expect((await decrypt(elsewhere, sealed)).plain.equals(plain)).toBe(true);
    const back = await encrypt(elsewhere, plain);
    keys.cloud.outage(north, 'up');
    expect((await decrypt(await keyIn(north), back)).plain.equals(plain)).toBe(true);
  });

  it('is of no use under another key of the bucket', async () => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, plain);
    for (const [from, what] of [
      [`${backupFolder}/1/tables/1.dump.zst`, 'pgdr-object'],
      ['acme/orders/main/logical/20261122T020000Z-4f2a9c/1/main.dump.zst', 'pgdr-backup'],
      ['acme/ledger/main/logical/20261121T020000Z-4f2a9c/1/main.dump.zst', 'pgdr-database'],
    ] as const) {
      const { plain: released, error } = await decrypt(key, sealed, from);
      expect(error).toMatchObject({ name: 'EncryptionContextDiffers', message: expect.stringContaining(what) });
      expect(released).toHaveLength(0);
    }
  });

  it.each([
    ['a byte of the header', 40, 0],
    ['a byte of the first frame', 5000, 0],
    ['a byte of the third frame', 2 * frameBytes + 5000, 2],
    ['a byte of the last tag', -1, 3],
  ])('fails with %s altered, and releases no frame from there on', async (_, at, frames) => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, plain);
    const position = at < 0 ? sealed.length + at : at;
    sealed[position] = (sealed[position] ?? 0) ^ 1;
    const { plain: released, error } = await decrypt(key, sealed);
    expect(error).toMatchObject({ name: 'DecryptionFailed' });
    expect(released.length).toBeLessThanOrEqual(frames * frameBytes);
    expect(plain.subarray(0, released.length).equals(released)).toBe(true);
  });

  it.each([0, 100, frameBytes + 2000, -1])('fails when it ends at byte %i', async (at) => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, plain);
    expect((await decrypt(key, sealed.subarray(0, at))).error).toMatchObject({ name: 'DecryptionFailed' });
  });

  it('releases nothing of what was put behind its end', async () => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, plain);
    const { plain: released } = await decrypt(key, Buffer.concat([sealed, sealed]));
    expect(released.equals(plain)).toBe(true);
  });

  it('ends its reader with what failed behind it', async () => {
    const key = await keyIn(north);
    const sealed = await encrypt(key, plain);
    const cipher = decrypting(key, objectKey);
    const failing = async (source: AsyncIterable<Buffer>) => {
      for await (const _ of source) throw new Error('pg_restore was killed');
    };
    await expect(pipeline(inChunks(sealed), cipher.stream, cipher.check, failing)).rejects.toThrow('was killed');
  });

  it('is not completed when its source fails', async () => {
    const key = await keyIn(north);
    async function* broken() {
      yield* inChunks(plain);
      throw new Error('pg_dump was killed');
    }
    let ended = false;
    const cipher = encrypting(key, objectKey);
    const done = pipeline(broken(), cipher.stream, async (source: AsyncIterable<Buffer>) => {
      for await (const _ of source);
      ended = true;
    });
    await expect(done).rejects.toThrow('pg_dump was killed');
    expect(ended).toBe(false);
  });

  it('holds its source back while nobody takes what comes out', async () => {
    const key = await keyIn(north);
    let given = 0;
    async function* endless() {
      for (;;) {
        given += 50_000;
        yield Buffer.alloc(50_000);
      }
    }
    const stop = new AbortController();
    const cipher = encrypting(key, objectKey);
    const done = pipeline(
      endless(),
      cipher.stream,
      async (source: AsyncIterable<Buffer>) => {
        for await (const _ of source) await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
      },
      { signal: stop.signal },
    );
    await expect.poll(() => given, { interval: 100, timeout: 5_000 }).toBeGreaterThan(0);
    let before = -1;
    await expect
      .poll(
        () => {
          const still = given === before;
          before = given;
          return still;
        },
        { interval: 200, timeout: 5_000 },
      )
      .toBe(true);
    expect(given).toBeLessThan(20 * frameBytes);
    stop.abort();
    await expect(done).rejects.toThrow();
  });
});

describe('the key', () => {
  it('that is not there is a refusal that names it', async () => {
    await keyIn(north);
    await expect(openClientKey('alias/none')).rejects.toMatchObject({
      name: 'EncryptionKeyRefused',
      message: expect.stringContaining('alias/none: NotFoundException'),
    });
  });
});
