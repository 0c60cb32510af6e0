import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encryptionContext, frameBytes } from '../../lib/core/encryption.ts';
import { decrypt, east, encrypt, type KeyCloud, north, objectKey, startKeyCloud } from '../local/client-key-cloud.ts';
import { describeWithPeers } from './peers.ts';

/**
 * Objects that we encrypt, read by the AWS Encryption CLI, an implementation of the format in Python; and objects that
 * it encrypts, read by us. It asks the same local KMS for keys.
 */
describeWithPeers('aws-encryption-cli', ['aws-encryption-cli'], (cli) => {
  const plain = randomBytes(2 * frameBytes + 99);
  const pairs = Object.entries(encryptionContext(objectKey)).map(([name, value]) => `${name}=${value}`);
  let keys: KeyCloud;
  let made = 0;

  beforeAll(async () => {
    keys = await startKeyCloud();
  });
  afterAll(() => keys?.close());

  /** Runs it on a file, as a person would; gives what it wrote. */
  async function run(mode: string, input: Buffer, region: string, arn: string, context: readonly string[], more = '') {
    const [from, to] = [join(keys.folder, `in-${++made}`), join(keys.folder, `out-${made}`)];
    writeFileSync(from, input);
    const args = `${mode} --suppress-metadata --input ${from} --output ${to} ${more} --wrapping-keys key=${arn}`;
    await promisify(execFile)(cli, [...args.split(' ').filter(Boolean), '--encryption-context', ...context], {
      env: { ...process.env, ...keys.cloud.environment(region), AWS_DEFAULT_REGION: region },
      timeout: 60_000,
    });
    return readFileSync(to);
  }

  test.each([north, east])('reads what we encrypted, in %s', async (region) => {
    const sealed = await encrypt(await keys.keyIn(north), plain);
    const { arn } = await keys.keyIn(region);
    const out = await run('--decrypt-unsigned', sealed, region, arn, pairs);
    expect(out.equals(plain)).toBe(true);
  });

  test('refuses it in another context, and altered', async () => {
    const key = await keys.keyIn(north);
    const sealed = await encrypt(key, plain);
    await expect(run('--decrypt-unsigned', sealed, north, key.arn, ['pgdr-object=another'])).rejects.toThrow();
    sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
    await expect(run('--decrypt-unsigned', sealed, north, key.arn, pairs)).rejects.toThrow();
  });

  test('encrypts what we read', async () => {
    const key = await keys.keyIn(north);
    const algorithm = '--algorithm AES_256_GCM_HKDF_SHA512_COMMIT_KEY';
    const sealed = await run('--encrypt', plain, north, key.arn, pairs, algorithm);
    expect(await decrypt(key, sealed)).toEqual({ plain, error: undefined });
  });
});
