import { open, readFile, stat, truncate } from 'node:fs/promises';
import { type ApiCall, AwsError } from '../../../../local/facade.ts';
import { parseManifest } from '../../../core/manifest.ts';
import type { Rehearsal } from '../rehearsal.ts';
import type { Fault, Injection } from './fault.ts';

/** Faults of the bucket: what S3 refuses, and what happens to bytes that lie in it. */

const refuseUpload: Fault = {
  name: 's3-refuse',
  summary: 'S3 takes the beginning of a multipart upload and answers 503 SlowDown to every later part.',
  workflow: 'backup-logical',
  expectedError: 'StorageRefused',
  expectedMessage: /SlowDown/,
  async inject({ cloud }) {
    let refused = 0;
    const undo = cloud.intercept((call) => {
      if (call.service !== 's3' || call.operation !== 'UploadPart' || Number(call.input.PartNumber) < 2) return;
      refused += 1;
      throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
    });
    return {
      struck: () => (refused > 0 ? `refused ${refused} UploadPart requests` : undefined),
      undo: async () => undo(),
    };
  },
};

/** Does something to the largest object of a backup between its manifest and its verification. */
function damageBeforeVerification({ cloud }: Rehearsal, damage: (file: string) => Promise<string>): Injection {
  let struck: string | undefined;
  let begun = false;
  const undo = cloud.intercept(async (call) => {
    if (begun || !readsManifest(call)) return;
    begun = true;
    const { Bucket, Key } = call.input as { Bucket: string; Key: string };
    const manifestFile = cloud.s3.locate(Bucket, Key);
    if (manifestFile === undefined) return;
    const manifest = parseManifest(await readFile(manifestFile, 'utf8'), Key);
    const largest = manifest.objects.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    const file = cloud.s3.locate(Bucket, largest.key, largest.versionId);
    if (file === undefined) throw new Error(`${largest.key} has no file`);
    struck = `${await damage(file)} of ${largest.key}`;
  });
  return { struck: () => struck, undo: async () => undo() };
}

/** The verification begins by reading the manifest, which the backup task only writes. */
const readsManifest = (call: ApiCall): boolean =>
  call.service === 's3' && call.operation === 'GetObject' && String(call.input.Key).endsWith('/manifest.json');

const flipByte: Fault = {
  name: 'flip-byte',
  summary: 'After the backup, before its verification, one bit of one stored object changes.',
  workflow: 'backup-logical',
  expectedError: 'ObjectAltered',
  inject: async (rehearsal) =>
    damageBeforeVerification(rehearsal, async (path) => {
      const file = await open(path, 'r+');
      try {
        const offset = Math.floor((await file.stat()).size / 2);
        const byte = Buffer.alloc(1);
        await file.read(byte, 0, 1, offset);
        byte[0] = (byte[0] as number) ^ 1;
        await file.write(byte, 0, 1, offset);
        return `flipped a bit of byte ${offset}`;
      } finally {
        await file.close();
      }
    }),
};

const truncateObject: Fault = {
  name: 'truncated-object',
  summary: 'After the backup, before its verification, a stored object loses its last thousand bytes.',
  workflow: 'backup-logical',
  expectedError: 'ObjectTruncated',
  inject: async (rehearsal) =>
    damageBeforeVerification(rehearsal, async (path) => {
      const { size } = await stat(path);
      await truncate(path, size - 1000);
      return `cut off the last 1000 of ${size} bytes`;
    }),
};

export const storageFaults: readonly Fault[] = [refuseUpload, flipByte, truncateObject];
