import { setFlagsFromString } from 'node:v8';

/**
 * To be imported first by a program that streams gigabytes. Buffers lie outside of V8's heap, and for every 20 MB of them
 * V8 would begin to mark the whole heap, step by step beside the work: a hundred times in a backup of 2 GB, and as often
 * in its restore, for 3 s of CPU time of 14 and of 7. Without steps it collects when memory asks for it, about ten times,
 * and takes no more of it (docs/benchmarks.md). Not an option of the command line, since NODE_OPTIONS does not take it.
 */
setFlagsFromString('--no-incremental-marking');
