import { open, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Upload, UploadedPart } from './model.ts';

/**
 * Where the parts of an upload lie. Parts mostly have one size, so that the place of each in the whole is known when
 * it arrives: it is written there, and completion is a rename. A part that fits no slot, or comes for a slot that is
 * taken, lies in a file of its own, and completion then copies.
 */

export const wholeFile = 'whole.data';

/** No smaller size makes slots: only a last part can have it. */
const smallestSlot = 5 * 1024 ** 2;

export interface Slots {
  /** Bytes of each; known with the first part that is large enough. */
  size?: number;
  /** Numbers of the slots that are being written or hold a part, committed or not yet. */
  readonly taken: Set<number>;
  /** How many bodies are on their way into slots. */
  writers: number;
  /** Completion has begun: what comes now would write into an object. */
  closed: boolean;
}

export const newSlots = (): Slots => ({ taken: new Set(), writers: 0, closed: false });

/** The slots of an upload that an earlier run of the process began. */
export function slotsOf(parts: Iterable<UploadedPart>): Slots {
  const slots = newSlots();
  for (const part of parts) {
    if (part.slot === undefined) continue;
    slots.size = part.slot;
    slots.taken.add(part.number);
  }
  return slots;
}

export interface Place {
  readonly slot: number;
  /** Where in the whole's file the part begins. */
  readonly offset: number;
  /** To be called once the body has been received, or has failed, in which case the slot is free again. */
  left(arrived: boolean): void;
}

/** A place in the whole for a part of this many bytes, or undefined. */
export function takeSlot(slots: Slots, number: number, length: number): Place | undefined {
  slots.size ??= length >= smallestSlot ? length : undefined;
  const { size } = slots;
  if (size === undefined || length > size || slots.closed || slots.taken.has(number)) return undefined;
  slots.taken.add(number);
  slots.writers++;
  return {
    slot: size,
    offset: (number - 1) * size,
    left(arrived) {
      slots.writers--;
      if (!arrived) slots.taken.delete(number);
    },
  };
}

/** Makes sure that the whole's file is there. */
export async function openWhole(folder: string): Promise<string> {
  const file = join(folder, wholeFile);
  await (await open(file, 'a')).close();
  return file;
}

/**
 * Whether the parts, and nothing else, make up the whole's file as it lies there. If so it is closed to further parts
 * and cut to its length, and may be taken; `slots.closed = false` opens it again should completion fail.
 */
export async function closeWhole(folder: string, upload: Upload, parts: readonly UploadedPart[]): Promise<boolean> {
  const { slots } = upload;
  let offset = 0;
  for (const part of parts) {
    if (part.slot === undefined || (part.number - 1) * part.slot !== offset) return false;
    offset += part.size;
  }
  if (slots.writers > 0 || slots.taken.size !== parts.length) return false;
  slots.closed = true;
  const file = join(folder, wholeFile);
  // A body that broke off may have left bytes beyond the last part.
  if ((await stat(file)).size > offset) await truncate(file, offset);
  return true;
}
