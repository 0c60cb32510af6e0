import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type Lineage, walSegmentKey } from '../../lib/core/keys.ts';

const compress = promisify(zstdCompress);

/** PostgreSQL's own pg_receivewal on the slot of the receiver, and its complete segments put where they belong. */
export async function startWalShipper(options: {
  readonly bin: string;
  readonly directory: string;
  readonly connection: { host: string; port: number; user: string; password: string };
  readonly slot: string;
  readonly s3: S3Client;
  readonly bucket: string;
  readonly lineage: Lineage;
}): Promise<{ stop(): Promise<void> }> {
  const { bin, directory, connection, slot, s3, bucket, lineage } = options;
  mkdirSync(directory, { recursive: true });
  const receive = (...args: string[]): ChildProcess =>
    spawn(join(bin, 'pg_receivewal'), ['--directory', directory, '--slot', slot, '--no-password', ...args], {
      env: {
        PATH: process.env.PATH,
        PGHOST: connection.host,
        PGPORT: String(connection.port),
        PGUSER: connection.user,
        PGPASSWORD: connection.password,
      },
      stdio: 'ignore',
    });
  const ended = (child: ChildProcess) => new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await ended(receive('--create-slot', '--if-not-exists'));
  const receiver = receive('--no-loop');
  const gone = ended(receiver);
  let stopped = false;
  const shipping = (async () => {
    const shipped = new Set<string>();
    while (!stopped) {
      for (const name of readdirSync(directory).filter((file) => /^[0-9A-F]{24}$/.test(file) && !shipped.has(file))) {
        const Body = await compress(readFileSync(join(directory, name)));
        await s3.send(new PutObjectCommand({ Bucket: bucket, Key: walSegmentKey(lineage, name), Body }));
        shipped.add(name);
      }
      await sleep(100);
    }
  })();
  while (readdirSync(directory).length === 0 && receiver.exitCode === null) await sleep(50);
  return {
    async stop() {
      stopped = true;
      receiver.kill('SIGINT');
      await gone;
      await shipping;
    },
  };
}
