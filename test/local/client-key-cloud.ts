import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { App } from 'aws-cdk-lib';
import { type ClientKey, decrypting, encrypting, openClientKey } from '../../lib/aws/client-encryption.ts';
import { clientKeyAlias } from '../../lib/config/names.ts';
import { parseConfig } from '../../lib/config/schema.ts';
import { KeyStack } from '../../lib/stacks/key-stack.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';

/** The key stacks of both regions on a local cloud, and streams through the key. */

export const north = 'eu-north-1';
export const east = 'us-east-1';
export const backupFolder = 'acme/orders/main/logical/20261121T020000Z-4f2a9c';
export const objectKey = `${backupFolder}/1/main.dump.zst`;

export interface KeyCloud {
  readonly cloud: Cloud;
  readonly folder: string;
  /** The key as a task in this region gets at it: through the environment, which stays so. */
  keyIn(region: string): Promise<ClientKey>;
  close(): Promise<void>;
}

export async function startKeyCloud(): Promise<KeyCloud> {
  const folder = mkdtempSync(join(tmpdir(), 'client-key-'));
  const config = parseConfig({ name: 'acme', regions: { primary: north, recovery: east }, databases: [] });
  const app = new App({ outdir: join(folder, 'cdk.out'), analyticsReporting: false });
  const primary = new KeyStack(app, { config, role: 'primary' });
  new KeyStack(app, { config, role: 'recovery' }).addStackDependency(primary);
  app.synth();
  const cloud = await startCloud({ assembly: join(folder, 'cdk.out'), directory: join(folder, 'state') });
  const before = { ...process.env };
  return {
    cloud,
    folder,
    keyIn(region) {
      Object.assign(process.env, cloud.environment(region));
      return openClientKey(clientKeyAlias('acme'));
    },
    async close() {
      process.env = before;
      await cloud.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function* inChunks(bytes: Buffer, size = 50_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const collect = (chunks: Buffer[]) => async (source: AsyncIterable<Buffer>) => {
  for await (const chunk of source) chunks.push(chunk);
};

export async function encrypt(key: ClientKey, content: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await pipeline(inChunks(content), encrypting(key, objectKey).stream, collect(chunks));
  return Buffer.concat(chunks);
}

/** What came out before the end, and the error that ended it. */
export async function decrypt(key: ClientKey, bytes: Buffer, from = objectKey) {
  const chunks: Buffer[] = [];
  const cipher = decrypting(key, from);
  const error = await pipeline(inChunks(bytes), cipher.stream, cipher.check, collect(chunks)).catch(
    (thrown) => cipher.explain(thrown) ?? thrown,
  );
  return { plain: Buffer.concat(chunks), error };
}
