import type { Prices } from './prices.ts';

/** What estimates of cost are made with. */

export interface TaskSize {
  readonly vcpu: number;
  readonly memoryGiB: number;
  readonly storageGiB: number;
}

/** Seconds. */
export const month = 30.44 * 86_400;
export const gib = 1024 ** 3;
/** Placing a task and pulling its image is charged too. */
export const startSeconds = 60;

export const taskCost = ({ vcpu, memoryGiB, storageGiB }: TaskSize, seconds: number, { fargate }: Prices): number =>
  (seconds / 3600) *
  (vcpu * fargate.vcpuHour + memoryGiB * fargate.gbHour + Math.max(0, storageGiB - 20) * fargate.diskGbHour);

export const n = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toLocaleString('en', { maximumSignificantDigits: 3 });
