import { s3Error } from './model.ts';

/** A chunk's size line and a trailer's line are short; more without a line end is no aws-chunked body. */
const longestLine = 16 * 1024;

const malformed = (why: string) =>
  s3Error('IncompleteBody', `The request body terminated unexpectedly or is not aws-chunked: ${why}`);

/**
 * Decodes `Content-Encoding: aws-chunked`: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n … 0\r\n[trailers]\r\n`.
 * Pieces are passed on without copying. Chunk signatures are not verified, as the cloud verifies no signature.
 * `trailers` is filled (lower-case names) once the last byte has been read.
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  let state: 'size' | 'data' | 'afterData' | 'trailer' | 'done' = 'size';
  let left = 0;
  let unfinished: Buffer | undefined;
  for await (const piece of source) {
    let rest: Buffer = unfinished ? Buffer.concat([unfinished, piece]) : piece;
    unfinished = undefined;
    while (rest.length > 0 && state !== 'done') {
      if (state === 'data') {
        const taken = rest.subarray(0, left);
        left -= taken.length;
        rest = rest.subarray(taken.length);
        if (left === 0) state = 'afterData';
        yield taken;
        continue;
      }
      const end = rest.indexOf('\r\n');
      if (end < 0) {
        if (rest.length > longestLine) throw malformed('a line without end');
        unfinished = rest;
        break;
      }
      const line = rest.toString('latin1', 0, end);
      rest = rest.subarray(end + 2);
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
    }
  }
  // Some clients leave out the empty line after the trailers.
  const ended = state === 'done' || (state === 'trailer' && unfinished === undefined);
  if (!ended) throw malformed('the last chunk is missing');
}
