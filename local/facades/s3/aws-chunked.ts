import { s3Error } from './model.ts';

/** A chunk's size line and a trailer's line are short; more without a line end is no aws-chunked body. */
const longestLine = 16 * 1024;

const malformed = (why: string) =>
  s3Error('IncompleteBody', `The request body terminated unexpectedly or is not aws-chunked: ${why}`);

export interface ChunkDecoder {
  /** The body's bytes in a piece of the request: views of the piece, which is not copied. */
  decode(piece: Buffer): Buffer[];
  /** By lower-case name, once the last byte has been read. */
  readonly trailers: ReadonlyMap<string, string>;
  /** @throws AwsError IncompleteBody when the body ended too early */
  end(): void;
}

/**
 * Decodes `Content-Encoding: aws-chunked`: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n … 0\r\n[trailers]\r\n`.
 * Chunk signatures are not verified, as the cloud verifies no signature.
 */
export function awsChunkedDecoder(): ChunkDecoder {
  const trailers = new Map<string, string>();
  let state: 'size' | 'data' | 'afterData' | 'trailer' | 'done' = 'size';
  let left = 0;
  let unfinished: Buffer | undefined;

  const takeLine = (line: string): void => {
    if (state === 'afterData') {
      if (line !== '') throw malformed('a chunk is longer than its size says');
      state = 'size';
    } else if (state === 'size') {
      const [hex = ''] = line.split(';');
      if (!/^[0-9a-f]+$/i.test(hex)) throw malformed(`${JSON.stringify(line.slice(0, 80))} is no chunk size`);
      left = Number.parseInt(hex, 16);
      state = left > 0 ? 'data' : 'trailer';
    } else if (line === '') {
      state = 'done';
    } else {
      const colon = line.indexOf(':');
      if (colon < 1) throw malformed('a trailer without name');
      trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
  };

  return {
    trailers,
    decode(piece) {
      const bytes: Buffer[] = [];
      let rest = unfinished ? Buffer.concat([unfinished, piece]) : piece;
      unfinished = undefined;
      while (rest.length > 0 && state !== 'done') {
        if (state === 'data') {
          const taken = rest.subarray(0, left);
          left -= taken.length;
          rest = rest.subarray(taken.length);
          if (left === 0) state = 'afterData';
          bytes.push(taken);
          continue;
        }
        const end = rest.indexOf('\r\n');
        if (end < 0) {
          if (rest.length > longestLine) throw malformed('a line without end');
          unfinished = Buffer.from(rest);
          break;
        }
        takeLine(rest.toString('latin1', 0, end));
        rest = rest.subarray(end + 2);
      }
      return bytes;
    },
    end() {
      // Some clients leave out the empty line after the trailers.
      const ended = state === 'done' || (state === 'trailer' && unfinished === undefined);
      if (!ended) throw malformed('the last chunk is missing');
    },
  };
}
