import { describe, expect, it } from 'vitest';
import { parseToc, replaceCopies } from '../../lib/core/archive-toc.ts';

/** Writes the head of an archive as pg_dump does. */
function archive(
  minor: number,
  entries: readonly { id: number; kind: string; tag: string; needs: number[] }[],
): Buffer {
  const int = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes[0] = value < 0 ? 1 : 0;
    bytes.writeUInt32LE(Math.abs(value), 1);
    return bytes;
  };
  const text = (value: string | null) =>
    value === null ? int(-1) : Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)]);
  const head = [
    Buffer.from('PGDMP'),
    Buffer.from([1, minor, 0, 4, 8, 1]),
    minor >= 15 ? Buffer.from([0]) : int(0),
    ...Array.from({ length: 7 }, () => int(1)),
    ...['orders', '15.1', '15.2'].map(text),
    int(entries.length),
  ];
  const body = entries.flatMap(({ id, kind, tag, needs }) => [
    int(id),
    int(1),
    ...['1259', '16385', tag, kind].map(text),
    int(4),
    ...['CREATE …;', '', kind === 'TABLE' ? `COPY ü${tag};` : null, 'ünï', '', 'heap'].map(text),
    ...(minor >= 16 ? [int(114)] : []),
    ...['owner', 'false', ...needs.map(String), null].map(text),
    Buffer.alloc(9),
  ]);
  return Buffer.concat([...head, ...body]);
}

const entries = [
  { id: 7, kind: 'TABLE', tag: 'a "b"\nc', needs: [] },
  { id: 3000, kind: 'INDEX', tag: 'i', needs: [7, 12] },
];

describe.each([14, 15, 16])('the table of contents of format 1.%d', (minor) => {
  it('gives what is there and what it needs', () => {
    const toc = parseToc(Buffer.concat([archive(minor, entries), Buffer.from('data follows')]));
    expect(toc).toMatchObject([
      { id: 7, kind: 'TABLE', tag: 'a "b"\nc', dependencies: [] },
      { id: 3000, kind: 'INDEX', schema: 'ünï', owner: 'owner', section: 'post-data', dependencies: [7, 12] },
    ]);
  });

  it('can be given other COPY statements, and nothing else changes', () => {
    const whole = Buffer.concat([archive(minor, entries), Buffer.from('data follows')]);
    const toc = parseToc(whole) ?? [];
    expect(replaceCopies(whole, toc, (_, statement) => statement)).toEqual(whole);
    const changed = replaceCopies(whole, toc, (entry, statement) => `TRUNCATE ${entry.id}; ${statement}`.repeat(40));
    const again = parseToc(changed) ?? [];
    expect(again[0]?.copy?.text).toBe('TRUNCATE 7; COPY üa "b"\nc;'.repeat(40));
    expect(again.map((entry) => ({ ...entry, copy: null }))).toEqual(toc.map((entry) => ({ ...entry, copy: null })));
    expect(replaceCopies(changed, again, () => 'COPY üa "b"\nc;')).toEqual(whole);
  });

  it('is not there until its last byte is', () => {
    const whole = archive(minor, entries);
    for (const length of [0, 4, 10, 40, whole.length - 1]) expect(parseToc(whole.subarray(0, length))).toBeUndefined();
  });
});

it('what is no archive, or of another format, is refused', () => {
  expect(() => parseToc(Buffer.from('-- PostgreSQL database dump'))).toThrow('not a pg_dump archive');
  expect(() => parseToc(archive(13, []))).toThrow('1.13');
  expect(() => parseToc(archive(17, []))).toThrow('1.17');
});
