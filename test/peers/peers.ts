import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

/**
 * Judges: programs that we did not write, which say whether we are right. `node bin/peers.mjs` installs them; nobody
 * needs them for `npm test`. Where one is missing, CI fails, and another machine is told in so many words.
 */
const root = join(import.meta.dirname, '..', '..');

/** Where judges are looked for: what PGDR_PEERS names, what bin/peers.mjs made, then the PATH. */
const places = (): string[] => [
  ...(process.env.PGDR_PEERS ? [join(process.env.PGDR_PEERS, 'bin')] : []),
  join(root, '.pgdr', 'peers', 'bin'),
  ...(process.env.PATH ?? '').split(delimiter),
];

/** The path of a judge's program. */
export const findPeer = (program: string): string | undefined =>
  places()
    .map((place) => join(place, program))
    .find((path) => existsSync(path));

const missing = (programs: readonly string[]): string =>
  `MISSING JUDGE: ${programs.join(', ')} ${programs.length > 1 ? 'are' : 'is'} not installed, so nothing was judged here. Try: node bin/peers.mjs`;

/**
 * A suite that needs programs of judges; it is handed their paths in the same order. Without them it is one test that
 * fails in CI (the variable CI is set), and elsewhere is skipped, with a warning that names what is missing.
 */
export function describeWithPeers<const P extends readonly string[]>(
  name: string,
  programs: P,
  suite: (...paths: { readonly [K in keyof P]: string }) => void,
): void {
  const paths = programs.map(findPeer);
  const absent = programs.filter((_, index) => paths[index] === undefined);
  if (absent.length === 0) {
    describe(name, () => suite(...(paths as unknown as { readonly [K in keyof P]: string })));
    return;
  }
  const sentence = missing(absent);
  describe(name, () => {
    if (process.env.CI) {
      test(sentence, () => {
        throw new Error(sentence);
      });
    } else {
      console.warn(`\n${name}: ${sentence}\n`);
      test.skip(sentence);
    }
  });
}
