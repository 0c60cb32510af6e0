import type { z } from 'zod';
import { boolean, duration, integer, matching, object, oneOf, schedule } from './fields.ts';
import { secretName } from './names-schema.ts';
import { task } from './task-schema.ts';

/** `physical` of a database: base backups and the continuous receipt of WAL. Without it there are neither. */

const day = 86_400;

const slotName = matching(
  /^[a-z0-9_]{1,63}$/,
  'the name of a replication slot, 1 to 63 lower-case letters, digits and underscores',
  'pgdr',
);

/** Memory that Fargate offers for the small sizes that a receiver takes, in GiB: [least, most]. */
const receiverMemory = { 0.25: [0.5, 2], 0.5: [1, 4], 1: [2, 8], 2: [4, 16] } as const;

const receiver = object({
  vcpu: oneOf([0.25, 0.5, 1, 2], 0.5).default(0.5),
  memoryGiB: oneOf([0.5, 1, 2, 3, 4, 5, 6, 7, 8], 1).default(1),
}).superRefine(({ vcpu, memoryGiB }, context) => {
  const [least, most] = receiverMemory[vcpu];
  if (memoryGiB >= least && memoryGiB <= most) return;
  context.addIssue({
    code: 'custom',
    path: ['memoryGiB'],
    message: ` is ${memoryGiB}, which Fargate does not offer with ${vcpu} vCPU. Allowed: ${least} to ${most}. Example: ${least}`,
  });
});

const base = object({
  schedule: schedule('cron(0 1 ? * SUN *)').prefault('cron(0 1 ? * SUN *)'),
  // Between full ones, base backups hold what has changed since the one before. PostgreSQL 17 and newer.
  fullEvery: duration('1 day', '90 days', '7 days').optional(),
  // The data of the server are streamed; nothing of them touches the disk of the task.
  task: task({ vcpu: 2, memoryGiB: 4, storageGiB: 21 }).prefault({}),
});

export const physicalSchema = object({
  // The database's own secret unless another is named: its role needs REPLICATION.
  secret: secretName.optional(),
  slot: slotName.optional(),
  walChunkInterval: duration('1 second', '5 minutes', '5 seconds').default(5),
  walChunkMiB: integer(1, 64, 8).default(8),
  heartbeatInterval: duration('1 second', '1 minute', '5 seconds').default(5),
  // Whether the receiver answers each flush at once, so that the server may name it in synchronous_standby_names.
  synchronous: boolean().default(false),
  pitrWindow: duration('1 day', '365 days', '7 days').default(7 * day),
  base: base.prefault({}),
  receiver: receiver.prefault({}),
});

export type PhysicalConfig = z.output<typeof physicalSchema>;

/** What the upload of a chunk and a pause of the receiver may add to the interval of its chunks, in seconds. */
export const walUploadMargin = 10;
