import { blocks } from './blocks.ts';
import type { Case } from './case.ts';
import { data } from './data.ts';
import { flow } from './flow.ts';
import { tasks } from './tasks.ts';

/** State machines that every engine and validator is asked about. */
export const suite: readonly Case[] = [...flow, ...data, ...tasks, ...blocks];
