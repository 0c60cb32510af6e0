import { earlierBackups, entry } from './entry.ts';

/** What becomes of a task, whatever its job. */
export const taskErrors = {
  TaskUnresponsive: entry(
    'backup-failed',
    'The task stopped sending heartbeats, or ran over its time limit, and was stopped.',
    earlierBackups,
    'Read the last lines of its log; look at memory and network of the task, then run again.',
  ),
  ExecutionOver: entry(
    'backup-failed',
    'The execution that started this task ended without it; the task stopped itself before committing anything.',
    earlierBackups,
    'Nothing to do for this task; see why the execution ended.',
  ),
  TaskFailed: entry(
    'backup-failed',
    'The task could not be started or died without naming an error.',
    earlierBackups,
    'Read stoppedReason and the log of the task: image, role, subnets and memory are the usual causes.',
  ),
  Unexpected: entry(
    'backup-failed',
    'A failure that the catalogue does not know.',
    earlierBackups,
    'Read the cause and the log; report it together with both.',
  ),
};
