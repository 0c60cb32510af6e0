/**
 * How the process of the receiver is started. Most of its memory is buffers of WAL that come and go on the threads that
 * compress: with an arena of malloc for each of them, and a young generation of 16 MB, a third more stayed with it.
 */
export const receiverCommand = ['node', '--max-semi-space-size=2', 'tasks/wal-receiver.ts'] as const;
export const receiverEnvironment = { MALLOC_ARENA_MAX: '2' } as const;
