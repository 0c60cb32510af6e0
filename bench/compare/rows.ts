/** Rows in COPY's text format, made of words that follow Zipf's law, as written language does. */

export interface Noise {
  /** 0 … n−1 */
  below(n: number): number;
  word(): string;
  words(count: number): string;
  hex(bytes: number): string;
}

/** A sequence that is the same in every run: mulberry32, a generator of 32 bits. */
export function noise(seed: number): Noise {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (n: number): number => next() % n;
  const vocabulary = Array.from({ length: 12_000 }, () => {
    const syllables = [
      'ba',
      'con',
      'de',
      'er',
      'fi',
      'gan',
      'ho',
      'in',
      'ka',
      'lo',
      'mer',
      'no',
      'pre',
      'qui',
      'ra',
      'st',
    ];
    return Array.from({ length: 1 + below(4) }, () => syllables[below(16)]).join('');
  });
  const word = (): string => vocabulary[Math.floor(vocabulary.length ** (next() / 2 ** 32)) - 1] as string;
  return {
    below,
    word,
    words(count) {
      let text = word();
      for (let i = 1; i < count; i++) text += ` ${word()}`;
      return text;
    },
    hex(bytes) {
      let text = '';
      for (let i = 0; i < bytes; i += 4) text += next().toString(16).padStart(8, '0');
      return text;
    },
  };
}

const day = (n: number): string => new Date(Date.UTC(2024, 0, 1) + n * 1000).toISOString();
const seconds = 86_400 * 900;

export function* users(count: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    const bio = id % 3 ? random.words(8 + random.below(40)) : '\\N';
    yield `${id}\t${random.words(2)}\t${random.word()}.${id}@example.com\t${bio}\t${day(random.below(seconds))}\n`;
  }
}

export function* products(count: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    yield `${id}\tSKU-${random.hex(4)}\t${random.words(4)}\t${random.below(100_000) / 100}\n`;
  }
}

/** Bodies of 50 to 600 words: some in the row, some beside it in TOAST. */
export function* documents(count: number, authors: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    const body = random.words(50 + random.below(250) + (id % 4 ? 0 : random.below(300)));
    const tags = `{${random.word()},${random.word()},${random.word()}}`;
    yield `${id}\t${1 + random.below(authors)}\t${random.words(6)}\t${body}\t${tags}\t${day(random.below(seconds))}\t${random.below(20)}\n`;
  }
}

const kinds = ['view', 'click', 'search', 'purchase', 'login', 'logout', 'error'];

export function* events(count: number, people: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    const payload = {
      session: random.hex(8),
      path: `/${random.word()}/${random.word()}/${random.below(100_000)}`,
      agent: random.words(5),
      ms: random.below(30_000),
      ...(id % 5 === 0 && {
        query: random.words(4),
        results: random.below(500),
        flags: [random.word(), random.word()],
      }),
    };
    yield `${id}\t${1 + random.below(people)}\t${kinds[random.below(kinds.length)]}\t${JSON.stringify(payload)}\t${day(id * 60)}\n`;
  }
}

export function* orders(count: number, people: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    const note = id % 4 ? '\\N' : random.words(6);
    const status = id % 10 ? 'done' : 'open';
    yield `${id}\t${1 + random.below(people)}\t${status}\t${random.below(10_000_000) / 100}\t${day(id * 90)}\t${note}\n`;
  }
}

/** One to seven lines for each order. */
export function* orderLines(orderCount: number, goods: number, random: Noise) {
  for (let order = 1; order <= orderCount; order++) {
    const lines = 1 + random.below(7);
    for (let line = 1; line <= lines; line++) {
      const discount = line % 3 ? '\\N' : random.below(1_000_000) / 1_000_000;
      yield `${order}\t${line}\t${1 + random.below(goods)}\t${random.below(100_000) / 1000}\t${random.below(1_000_000) / 100}\t${discount}\n`;
    }
  }
}

/** 2 to 40 KB; every second one does not compress, as pictures do not. */
export function* attachments(count: number, documentCount: number, random: Noise) {
  for (let id = 1; id <= count; id++) {
    const bytes = 2_000 + random.below(38_000);
    const content = id % 2 ? random.hex(bytes) : Buffer.from(random.words(bytes / 7)).toString('hex');
    yield `${id}\t${1 + random.below(documentCount)}\t${random.word()}.bin\t\\\\x${content}\n`;
  }
}
