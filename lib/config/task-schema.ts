import { formatDuration } from './duration.ts';
import { duration, integer, object, oneOf } from './fields.ts';

/** Size and patience of a task on Fargate. */

/** Memory that Fargate offers for each number of vCPUs, in GiB: [least, most, step]. */
const fargateMemory = { 1: [2, 8, 1], 2: [4, 16, 1], 4: [8, 30, 1], 8: [16, 60, 4], 16: [32, 120, 8] } as const;

interface TaskDefaults {
  readonly vcpu: 1 | 2 | 4 | 8 | 16;
  readonly memoryGiB: number;
  readonly storageGiB: number;
}

export const task = (defaults: TaskDefaults) =>
  object({
    vcpu: oneOf([1, 2, 4, 8, 16], defaults.vcpu).default(defaults.vcpu),
    memoryGiB: integer(2, 120, defaults.memoryGiB).default(defaults.memoryGiB),
    storageGiB: integer(21, 200, defaults.storageGiB).default(defaults.storageGiB),
    timeout: duration('1 minute', '7 days', '6 hours').default(6 * 3600),
    // Counted from the start of the state, so it has to cover placing the task and pulling its image too.
    heartbeatTimeout: duration('30 seconds', '1 hour', '5 minutes').default(5 * 60),
  }).superRefine(({ vcpu, memoryGiB, timeout, heartbeatTimeout }, context) => {
    const [least, most, step] = fargateMemory[vcpu];
    if (memoryGiB < least || memoryGiB > most || (memoryGiB - least) % step !== 0) {
      context.addIssue({
        code: 'custom',
        path: ['memoryGiB'],
        message: ` is ${memoryGiB}, which Fargate does not offer with ${vcpu} vCPU. Allowed: ${least} to ${most} in steps of ${step}. Example: ${least}`,
      });
    }
    if (heartbeatTimeout >= timeout) {
      context.addIssue({
        code: 'custom',
        path: ['heartbeatTimeout'],
        message: ` is ${formatDuration(heartbeatTimeout)}. Allowed: less than timeout, ${formatDuration(timeout)}. Example: '5 minutes'`,
      });
    }
  });
