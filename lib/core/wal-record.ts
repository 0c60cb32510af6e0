/**
 * As much of the layout of WAL as it takes to see where a record ends
 * (https://www.postgresql.org/docs/current/wal-internals.html, src/include/access/xlogrecord.h and xlog_internal.h):
 * pages of 8 KiB, each with a header, the first of a segment with a longer one; records begin at multiples of 8 with
 * their total length and run on over pages.
 */

const pageBytes = 8192n;
const pageHeader = 24n;
const segmentHeader = 40n;

const headerAt = (lsn: bigint, segmentBytes: bigint): bigint =>
  lsn % segmentBytes === 0n ? segmentHeader : pageHeader;

/** The first byte of content at or after `lsn`: past the header, where a page begins here. */
export const contentStart = (lsn: bigint, segmentBytes: bigint): bigint =>
  lsn % pageBytes === 0n ? lsn + headerAt(lsn, segmentBytes) : lsn;

/** The end of a record that begins at `lsn`, page headers on the way included. */
export function recordEnd(lsn: bigint, totalBytes: number, segmentBytes: bigint): bigint {
  let at = contentStart(lsn, segmentBytes);
  let left = BigInt(totalBytes);
  for (;;) {
    const pageEnd = (at / pageBytes + 1n) * pageBytes;
    if (at + left <= pageEnd) return at + left;
    left -= pageEnd - at;
    at = pageEnd + headerAt(pageEnd, segmentBytes);
  }
}
