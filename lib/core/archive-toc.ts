import { PgdrError } from './errors.ts';

/**
 * The table of contents at the head of a custom-format archive (`pg_dump -Fc`): what is in it and what depends on
 * what. `pg_restore --list` prints the same without a way to tell a space in a name from one between two names.
 * Format: src/bin/pg_dump/pg_backup_archiver.c of PostgreSQL; 1.14 is that of 12 to 15, 1.15 of 16, 1.16 of 17 and 18.
 */
export interface TocEntry {
  /** What `pg_restore --use-list` knows the entry by. Another archive of the same database numbers differently. */
  readonly id: number;
  /** `TABLE`, `INDEX`, `FK CONSTRAINT`, `TABLE DATA`, … */
  readonly kind: string;
  /** The name; for what belongs to a table, often `table name`; for comments and grants, `KIND name`. Never quoted. */
  readonly tag: string;
  /** Empty for what lies in no schema. */
  readonly schema: string;
  readonly owner: string;
  readonly section: Section;
  /** The SQL that makes it; empty for data. */
  readonly definition: string;
  /** Ids of the entries of this archive that it needs. */
  readonly dependencies: readonly number[];
  /** For `TABLE DATA`, the COPY statement that reads the rows. */
  readonly copy: CopyStatement | null;
}

export interface CopyStatement {
  readonly text: string;
  /** Where it stands in the archive: the first byte of its length, and the byte after its last. */
  readonly from: number;
  readonly to: number;
}

export type Section = 'none' | 'pre-data' | 'data' | 'post-data';

const sections: Readonly<Record<number, Section>> = { 1: 'none', 2: 'pre-data', 3: 'data', 4: 'post-data' };
const oldest = 14;
const newest = 16;

/** The table of contents, and how many bytes of the archive come before the first block of data. */
export interface ArchiveHead {
  readonly toc: TocEntry[];
  readonly length: number;
}

/**
 * Reads the table of contents from the beginning of an archive; undefined when `head` ends before it does.
 * Throws `ArchiveUnreadable` for what is no such archive.
 */
export function parseHead(head: Buffer): ArchiveHead | undefined {
  try {
    return readHead(head);
  } catch (error) {
    if (error instanceof HeadTooShort) return undefined;
    throw error;
  }
}

export const parseToc = (head: Buffer): TocEntry[] | undefined => parseHead(head)?.toc;

function readHead(head: Buffer): ArchiveHead {
  const read = new Reader(head);
  if (read.bytes(5).toString('latin1') !== 'PGDMP') throw new PgdrError('ArchiveUnreadable', 'not a pg_dump archive');
  const [major, minor] = [read.byte(), read.byte()];
  read.byte(); // Revision.
  if (major !== 1 || minor < oldest || minor > newest) {
    throw new PgdrError('ArchiveUnreadable', `archive format ${major}.${minor} is not known here`);
  }
  // That of every machine that PostgreSQL runs on; blocks of data are read by it (archive-rows.ts).
  if (read.byte() !== 4) throw new PgdrError('ArchiveUnreadable', 'the archive has integers of another size than 4');
  const offsetBytes = read.byte();
  if (read.byte() !== 1) throw new PgdrError('ArchiveUnreadable', 'the archive is not in the custom format');
  if (minor >= 15) read.byte();
  else read.int(); // Compression.
  for (let i = 0; i < 7; i++) read.int(); // When it was made.
  for (let i = 0; i < 3; i++) read.text(); // Database, version of the server, version of pg_dump.

  const toc = Array.from({ length: read.int() }, (): TocEntry => {
    const id = read.int();
    read.int(); // Whether there is data.
    read.text(); // OIDs of the catalogue and of the object.
    read.text();
    const tag = read.text() ?? '';
    const kind = read.text() ?? '';
    const section = sections[read.int()] ?? 'none';
    const definition = read.text() ?? '';
    read.text(); // How to drop it.
    const from = read.position;
    const copy = read.text();
    const to = read.position;
    const schema = read.text() ?? '';
    read.text(); // Tablespace, access method.
    read.text();
    if (minor >= 16) read.int(); // Kind of relation.
    const owner = read.text() ?? '';
    read.text(); // WITH OIDS, once.
    const dependencies: number[] = [];
    for (let text = read.text(); text !== null; text = read.text()) dependencies.push(Number(text));
    read.bytes(1 + offsetBytes); // Where its data is.
    return {
      id,
      kind,
      tag,
      schema,
      owner,
      section,
      definition,
      dependencies,
      copy: copy ? { text: copy, from, to } : null,
    };
  });
  return { toc, length: read.position };
}

/**
 * The same head with other COPY statements: pg_restore runs what stands there. Nothing points to a position in an
 * archive that pg_dump wrote into a pipe, so its head may change in length.
 */
export function replaceCopies(
  head: Buffer,
  toc: readonly TocEntry[],
  statementFor: (entry: TocEntry, statement: string) => string,
): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const entry of toc) {
    if (!entry.copy) continue;
    const { text, from, to } = entry.copy;
    const bytes = Buffer.from(statementFor(entry, text));
    const length = Buffer.alloc(to - from - Buffer.byteLength(text));
    length.writeUInt32LE(bytes.length, 1);
    pieces.push(head.subarray(at, from), length, bytes);
    at = to;
  }
  return Buffer.concat([...pieces, head.subarray(at)]);
}

class HeadTooShort extends Error {}

class Reader {
  #head: Buffer;
  #at = 0;

  constructor(head: Buffer) {
    this.#head = head;
  }

  get position(): number {
    return this.#at;
  }

  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#head.length) throw new HeadTooShort();
    const taken = this.#head.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  byte(): number {
    return this.bytes(1)[0] as number;
  }

  /** A sign, then the bytes of the number, least first. */
  int(): number {
    const negative = this.byte() !== 0;
    const value = this.bytes(4).reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
    return negative ? -value : value;
  }

  /** null is a length of -1. */
  text(): string | null {
    const length = this.int();
    return length < 0 ? null : this.bytes(length).toString('utf8');
  }
}
