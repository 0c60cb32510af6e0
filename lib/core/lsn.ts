/**
 * Log sequence numbers: byte positions in the stream of WAL, 64 bits, so bigint throughout. Text is PostgreSQL's own
 * `16/B374D848`: the upper and the lower half in hexadecimal.
 */

const greatest = (1n << 64n) - 1n;

/** Throws a RangeError for what is not an LSN. */
export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (!match) throw new RangeError(`not an LSN: ${text}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

export function formatLsn(lsn: bigint): string {
  const whole = checked(lsn);
  return `${(whole >> 32n).toString(16)}/${(whole & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

/** Sixteen hexadecimal digits, upper case: sorts as text as the number does. What keys are made of. */
export const lsnDigits = (lsn: bigint): string => checked(lsn).toString(16).padStart(16, '0').toUpperCase();

/** The inverse of {@link lsnDigits}. */
export function fromLsnDigits(text: string): bigint {
  if (!/^[0-9A-F]{16}$/.test(text)) throw new RangeError(`not sixteen digits of an LSN: ${text}`);
  return BigInt(`0x${text}`);
}

export const laterLsn = (a: bigint, b: bigint): bigint => (a > b ? a : b);
export const earlierLsn = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function checked(lsn: bigint): bigint {
  if (lsn < 0n || lsn > greatest) throw new RangeError(`out of the range of an LSN: ${lsn}`);
  return lsn;
}
