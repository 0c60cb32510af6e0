/**
 * Reads just enough of the WAL to know when its transactions committed: record lengths, and the times inside commit
 * and restore-point records. Layout: src/include/access/xlogrecord.h and xlog_internal.h, the same from PostgreSQL 13 to
 * 18 in all that is read here; integers are little-endian, as on every machine that pgdr runs beside.
 *
 * Positions are plain numbers, for speed: they are exact up to 2^53, nine petabytes of WAL.
 */

const pageBytes = 8192;
const shortHeader = 24;
const longHeader = 40;
const recordHeader = 24;
/** xlp_info of a page: it begins inside a record; its header is a long one. */
const firstIsContinuation = 0x01;
const isLong = 0x02;

/** Resource managers (rmgrlist.h) and operations (pg_control.h, xact.h). */
const xlog = 0;
const transaction = 1;
const operationMask = 0x70;
const restorePoint = 0x70;
const commit = 0x00;
const abort = 0x20;
const commitPrepared = 0x30;
const abortPrepared = 0x40;

/** Ids of what stands between a record's header and its data: 255 and 254 say its length, 253 an origin, 252 an xid. */
const shortData = 255;
const longData = 254;
const origin = 253;
const topLevelXid = 252;

/** The longest beginning of a record that is looked at: a restore point with all that may stand before it. */
const lookedAt = 112;
const postgresEpochMicroseconds = 946_684_800_000_000;

export interface WalEvents {
  /** `at`: microseconds since 1970; `end`: LSN after the record, whose last byte was seen. */
  onCommit(at: number, end: bigint): void;
  onRestorePoint?(name: string, at: number, end: bigint): void;
  /** Commits and rollbacks. */
  onTransactionEnd?(end: TransactionEnd): void;
}

/** The end of a transaction, as its record tells it. */
export interface TransactionEnd {
  /** 32 bits; 0 for one that changed nothing, undefined for one that was prepared: its number is not looked at. */
  readonly xid: number | undefined;
  /** Microseconds since 1970. */
  readonly at: number | undefined;
  /** LSN after the record. */
  readonly end: bigint;
}

export interface WalScanner {
  /** The bytes at `start`; anything else than what follows the bytes before makes it look for its place anew. */
  push(bytes: Buffer, start: bigint): void;
}

const aligned = (position: number): number => position + ((8 - (position % 8)) % 8);

export function createWalScanner({ onCommit, onRestorePoint, onTransactionEnd }: WalEvents): WalScanner {
  /** Position of the next byte. */
  let at = 0;
  /** Whether it is known where records begin: from the first page header on. */
  let synced = false;
  /** Bytes of the current record that are to come; 0 between records. */
  let remaining = 0;
  /** The beginning of a record, or of a page header, that is cut in two by buffers or pages. */
  const beginning = Buffer.alloc(lookedAt);
  let gathered = 0;
  let wanted = 0;
  const header = Buffer.alloc(longHeader);
  let headerBytes = 0;
  let headerWanted = 0;

  const lose = () => {
    synced = false;
    remaining = gathered = wanted = headerBytes = headerWanted = 0;
  };

  /** A page header is complete: it says whether, and for how long, a record goes on. */
  const readHeader = (view: Buffer) => {
    const info = view.readUInt16LE(2);
    const rest = view.readUInt32LE(16);
    const continues = (info & firstIsContinuation) !== 0;
    if (synced && remaining > 0 && continues && rest === remaining) return;
    // Out of step, or a record that its server never finished: begin where this page's first record does.
    const start = continues ? aligned(at + rest) : at;
    gathered = wanted = 0;
    if (!continues) {
      synced = true;
      remaining = 0;
    } else if (start < at - (at % pageBytes) + pageBytes) {
      synced = true;
      remaining = rest;
    } else {
      lose();
    }
  };

  /** A record's last byte was seen; `view` is its beginning. */
  const readRecord = (view: Buffer, length: number) => {
    const manager = view[17];
    if (manager !== transaction && manager !== xlog) return;
    const operation = (view[16] as number) & operationMask;
    const isCommit = manager === transaction && (operation === commit || operation === commitPrepared);
    const isPoint = manager === xlog && view[16] === restorePoint;
    const isRollback = manager === transaction && (operation === abort || operation === abortPrepared);
    if (!isCommit && !isPoint && !isRollback) return;
    const data = dataOf(view, length);
    const known = data !== undefined && data + 8 <= view.length;
    const time = known
      ? view.readInt32LE(data + 4) * 2 ** 32 + view.readUInt32LE(data) + postgresEpochMicroseconds
      : undefined;
    const end = BigInt(aligned(at));
    if (!isPoint) {
      const wasPrepared = operation === commitPrepared || operation === abortPrepared;
      onTransactionEnd?.({ xid: wasPrepared ? undefined : view.readUInt32LE(4), at: time, end });
    }
    if (!known || time === undefined || isRollback) return;
    if (isCommit) onCommit(time, end);
    else {
      const name = view.subarray(data + 8, data + 8 + 64);
      const zero = name.indexOf(0);
      onRestorePoint?.(name.toString('utf8', 0, zero < 0 ? name.length : zero), time, end);
    }
  };

  const push = (bytes: Buffer, start: bigint) => {
    if (Number(start) !== at) {
      lose();
      at = Number(start);
    }
    let i = 0;
    while (i < bytes.length) {
      const inPage = at % pageBytes;
      if (inPage === 0 && headerWanted === 0) headerWanted = shortHeader;
      if (headerWanted > 0) {
        const take = Math.min(headerWanted - headerBytes, bytes.length - i);
        bytes.copy(header, headerBytes, i, i + take);
        headerBytes += take;
        i += take;
        at += take;
        if (headerBytes < headerWanted) continue;
        if (headerBytes === shortHeader && (header.readUInt16LE(2) & isLong) !== 0) {
          headerWanted = longHeader;
          continue;
        }
        headerBytes = headerWanted = 0;
        readHeader(header);
        continue;
      }
      const pageRest = pageBytes - inPage;
      const available = Math.min(pageRest, bytes.length - i);
      if (!synced) {
        i += available;
        at += available;
        continue;
      }
      if (remaining === 0) {
        // Between records: padding up to the next multiple of eight, then its length, which is never cut by a page.
        const padding = gathered > 0 ? 0 : (8 - (at % 8)) % 8;
        if (padding > 0) {
          const take = Math.min(padding, available);
          i += take;
          at += take;
          continue;
        }
        if (gathered === 0 && available >= recordHeader) {
          const length = bytes.readUInt32LE(i);
          if (length < recordHeader) {
            // Zeros up to the end of the page: what follows a switch of segments.
            i += available;
            at += available;
            continue;
          }
          if (length <= available) {
            // The whole record lies here, as nearly all of them do.
            const view = bytes.subarray(i, i + Math.min(length, lookedAt));
            i += length;
            at += length;
            readRecord(view, length);
            continue;
          }
          remaining = length;
          wanted = Math.min(length, lookedAt);
        } else if (gathered < 4) {
          const take = Math.min(4 - gathered, available);
          bytes.copy(beginning, gathered, i, i + take);
          gathered += take;
          i += take;
          at += take;
          if (gathered < 4) continue;
          const length = beginning.readUInt32LE(0);
          if (length < recordHeader) {
            // The rest of this page is zeros too; the next header says how it goes on.
            lose();
            continue;
          }
          remaining = length - 4;
          wanted = Math.min(length, lookedAt);
          continue;
        }
      }
      const take = Math.min(remaining, available);
      if (gathered < wanted) bytes.copy(beginning, gathered, i, i + Math.min(take, wanted - gathered));
      gathered = Math.min(wanted, gathered + take);
      remaining -= take;
      i += take;
      at += take;
      if (remaining === 0) {
        if (wanted >= recordHeader) readRecord(beginning.subarray(0, wanted), beginning.readUInt32LE(0));
        gathered = wanted = 0;
      }
    }
  };
  return { push };
}

/** Where the data of a record without blocks begin; undefined for one with blocks, which no record looked at has. */
function dataOf(view: Buffer, length: number): number | undefined {
  let i = recordHeader;
  while (i < view.length && i < length) {
    const id = view[i];
    if (id === shortData) return i + 2;
    if (id === longData) return i + 5;
    if (id === origin) i += 3;
    else if (id === topLevelXid) i += 5;
    else return undefined;
  }
  return undefined;
}

/** RFC 3339 with microseconds. */
export function microsecondsToText(at: number): string {
  const seconds = Math.floor(at / 1e6);
  const rest = String(at - seconds * 1e6).padStart(6, '0');
  return new Date(seconds * 1000).toISOString().replace('.000Z', `.${rest}Z`);
}

/** Microseconds since 1970 of an RFC 3339 time in UTC with up to six digits of a second. */
export function textToMicroseconds(text: string): number {
  const match = /^(.*:\d\d)(?:\.(\d{1,6}))?Z$/.exec(text);
  if (!match) throw new RangeError(`not a time in UTC: ${text}`);
  return Date.parse(`${match[1]}Z`) * 1000 + Number((match[2] ?? '').padEnd(6, '0'));
}
