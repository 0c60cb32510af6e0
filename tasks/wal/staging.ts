/**
 * Buffers that chunks of WAL are gathered in, used again and again: what a receiver needs is allocated once, and the
 * collector has nothing to do with it. A chunk gives its buffer back when its bytes are compressed.
 */
export interface Staging {
  take(): Buffer;
  give(buffer: Buffer): void;
}

/** One is filled, one is compressed, and one more bridges a slow moment; what more it took is let go again. */
const mostIdle = 3;

export function createStaging(bytes: number): Staging {
  const idle: Buffer[] = [];
  return {
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(bytes),
    give(buffer) {
      if (idle.length < mostIdle) idle.push(buffer);
    },
  };
}
