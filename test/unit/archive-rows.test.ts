import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyMessages } from '../../lib/core/archive-rows.ts';

/** A block of rows as pg_dump writes it. */
function block(id: number, pieces: readonly Buffer[]): Buffer {
  const int = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes.writeUInt32LE(value, 1);
    return bytes;
  };
  return Buffer.concat([Buffer.from([1]), int(id), ...pieces.flatMap((piece) => [int(piece.length), piece]), int(0)]);
}

/** The same as the protocol has it. */
function messages(pieces: readonly Buffer[]): Buffer {
  return Buffer.concat(
    pieces.flatMap((piece) => {
      const head = Buffer.from('d\0\0\0\0');
      head.writeUInt32BE(piece.length + 4, 1);
      return [head, piece];
    }),
  );
}

function* cut(bytes: Buffer, sizes: readonly number[]) {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

const taken = (id: number, chunks: Iterable<Buffer>) => {
  const rows = copyMessages(id);
  const given = [...chunks].flatMap((chunk) => rows.take(chunk));
  rows.end();
  return Buffer.concat(given);
};

describe('the rows of an archive of one table', () => {
  it('are CopyData messages, however the stream is cut', () => {
    const piece = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(piece), sizes, fc.nat(0x7fffffff), (pieces, lengths, id) => {
        expect(taken(id, cut(block(id, pieces), lengths))).toEqual(messages(pieces));
      }),
    );
  });

  it('are not copied', () => {
    const bytes = block(7, [Buffer.from('1\ta\n'), Buffer.from('2\tb\n')]);
    const given = copyMessages(7).take(bytes);
    expect(given).toHaveLength(1);
    expect(given[0]?.buffer).toBe(bytes.buffer);
  });

  it.each([
    ['ends before the rows of its table do', block(7, [Buffer.from('1\n')]).subarray(0, -1)],
    ['ends before the rows of its table do', Buffer.alloc(0)],
    ['goes on after the rows of its table', Buffer.concat([block(7, []), Buffer.from([4])])],
    ['does not begin with the rows of entry 7', block(8, [])],
    ['impossible length', Buffer.concat([block(7, []).subarray(0, 6), Buffer.from([1, 1, 0, 0, 0])])],
    ['impossible length', Buffer.concat([block(7, []).subarray(0, 6), Buffer.from([0, 0, 0, 0, 0x40])])],
  ])('are refused when the archive %s', (message, bytes) => {
    for (const sizes of [[1], [3], [bytes.length + 1]]) expect(() => taken(7, cut(bytes, sizes))).toThrow(message);
  });
});
