import { PgdrError } from './errors.ts';

/** The first bytes of a block: what it holds (1 is rows), and the id of its entry. */
const blockHead = 6;
/** A length before each piece: a sign and four bytes, least first. */
const pieceHead = 5;
const copyData = 'd'.charCodeAt(0);
/** PostgreSQL takes no longer message. */
const longestPiece = 0x3fffffff;
const nothing: Buffer = Buffer.alloc(0);

/**
 * The rows of an archive of one table, as a server takes them: what comes after the table of contents of
 * `pg_dump -Fc -Z0` becomes CopyData messages. It is one block, of the entry `id`: pieces with a length before each, and
 * a length of 0 (_CustomWriteFunc in src/bin/pg_dump/pg_backup_custom.c of PostgreSQL). A length has as many bytes as the
 * head of a message, 'd' and a length, greatest byte first: one is written over the other, and no row is copied.
 *
 * `take` gives the messages of one chunk, which it changes; a message may go on in the next one. `end` throws
 * `ArchiveUnreadable` when the block is not complete, as `take` does for anything else than such a block.
 */
export function copyMessages(id: number): { take(chunk: Buffer): Buffer[]; end(): void } {
  let state: 'before' | 'within' | 'after' = 'before';
  let left = 0; // Bytes of the piece that are still to come.
  let held = nothing; // The beginning of a head that goes on in the next chunk.

  /** Turns the head of a piece into that of a message; gives the length of the piece. */
  const rewrite = (bytes: Buffer, at: number): number => {
    const length = bytes.readUInt32LE(at + 1);
    if (bytes[at] !== 0 || length > longestPiece) throw unreadable('has a piece of an impossible length');
    if (length === 0) state = 'after';
    bytes[at] = copyData;
    bytes.writeUInt32BE(length + 4, at + 1); // It counts itself.
    return length;
  };

  const take = (chunk: Buffer): Buffer[] => {
    const messages: Buffer[] = [];
    let from = 0;
    let at = 0;
    const give = (to: number, next: number) => {
      if (to > from) messages.push(chunk.subarray(from, to));
      from = next;
      at = next;
    };
    while (at < chunk.length) {
      if (left > 0) {
        const here = Math.min(left, chunk.length - at);
        at += here;
        left -= here;
        continue;
      }
      if (state === 'after') throw unreadable('goes on after the rows of its table');
      const missing = (state === 'before' ? blockHead : pieceHead) - held.length;
      if (chunk.length - at < missing) {
        held = Buffer.concat([held, chunk.subarray(at)]);
        give(at, chunk.length);
      } else if (state === 'within' && held.length === 0) {
        left = rewrite(chunk, at);
        if (left > 0) at += pieceHead;
        else give(at, at + pieceHead);
      } else {
        const head = Buffer.concat([held, chunk.subarray(at, at + missing)]);
        held = nothing;
        give(at, at + missing);
        if (state === 'within') {
          left = rewrite(head, 0);
          if (left > 0) messages.push(head);
        } else if (head[0] === 1 && head[1] === 0 && head.readUInt32LE(2) === id) state = 'within';
        else throw unreadable(`does not begin with the rows of entry ${id}`);
      }
    }
    give(at, at);
    return messages;
  };

  const end = () => {
    if (state !== 'after') throw unreadable('ends before the rows of its table do');
  };
  return { take, end };
}

const unreadable = (what: string) => new PgdrError('ArchiveUnreadable', `the archive ${what}`);
