import { randomBytes } from 'node:crypto';
import { readdirSync, truncateSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type S3Server, startS3 } from './s3-server.ts';

const MiB = 1024 ** 2;
const Bucket = 'streams';
const data = randomBytes(32 * MiB);
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket(Bucket);
  s3 = server.client();
  await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: data }));
});
afterAll(() => server.close());

const open = (path: string) =>
  new Promise<IncomingMessage>((resolve, reject) => get(server.endpoint + path, resolve).on('error', reject));
/** Files of the bucket that this process has open; what /proc tells, where there is one. */
const openFiles = () => {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
};

test('a reader that goes away in the middle leaves no file open, and others are served', async () => {
  const before = openFiles();
  for (let i = 0; i < 20; i++) {
    const response = await open(`/${Bucket}/k`);
    await new Promise((resolve) => response.once('data', resolve));
    response.destroy();
  }
  await expect.poll(openFiles).toBeLessThanOrEqual(before + 2);
  expect(server.notes).toEqual([]);
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(data)).toBe(true);
});

test('a slow reader gets every byte', async () => {
  const response = await open(`/${Bucket}/k`);
  const pieces: Buffer[] = [];
  for await (const piece of response) {
    pieces.push(piece);
    if (pieces.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(Buffer.concat(pieces).equals(data)).toBe(true);
});

test('a file that is cut while it is read breaks the answer off', async () => {
  await s3.send(new PutObjectCommand({ Bucket, Key: 'cut', Body: data }));
  const response = await open(`/${Bucket}/cut`);
  await new Promise((resolve) => response.once('readable', resolve));
  truncateSync(server.facade.locate(Bucket, 'cut') as string, MiB);
  await expect(response.toArray()).rejects.toThrow();
});
