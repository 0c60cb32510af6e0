import { resolve } from 'node:path';

/** The root of this repository: where the task image, the functions and the state machines are built from. */
export const projectRoot = resolve(import.meta.dirname, '../..');
