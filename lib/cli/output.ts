import { stripVTControlCharacters, styleText } from 'node:util';

/** How commands speak: progress as it happens, one result at the end. With `--json` stdout holds the JSON alone. */
export interface Output {
  readonly json: boolean;
  /** A line of progress: to stdout, or to stderr under `--json`. */
  line(text?: string): void;
  /** Progress on a line that the next one replaces; where there is no terminal, a line every half minute. */
  transient(text: string): void;
  /** The end: `value` as one line of JSON, or what `render` makes for a person. */
  result(value: unknown, render: () => string): void;
  paint(style: Style, text: string): string;
}

export type Style = 'good' | 'bad' | 'dim' | 'strong' | 'warn';

const colours = { good: 'green', bad: 'red', dim: 'dim', strong: 'bold', warn: 'yellow' } as const;

/** In the log of a pipeline a line now and then shows that something goes on. */
const quietMilliseconds = 30_000;

export function createOutput(json: boolean): Output {
  const progress = json ? process.stderr : process.stdout;
  const live = Boolean(progress.isTTY) && process.env.TERM !== 'dumb';
  let pending = false;
  let spoken = Date.now();
  const clear = () => {
    if (pending) progress.write('\r\u001b[2K');
    pending = false;
  };
  return {
    json,
    line(text = '') {
      clear();
      spoken = Date.now();
      progress.write(`${text}\n`);
    },
    transient(text) {
      if (!live) {
        if (Date.now() - spoken < quietMilliseconds) return;
        spoken = Date.now();
        progress.write(`${text}\n`);
        return;
      }
      clear();
      progress.write(text.slice(0, (progress.columns ?? 80) - 1));
      pending = true;
    },
    result(value, render) {
      clear();
      process.stdout.write(`${json ? JSON.stringify(value) : render()}\n`);
    },
    paint: (style, text) => (live ? styleText(colours[style], text, { stream: progress }) : text),
  };
}

/** Columns as wide as their widest cell; those with their index in `right` are aligned to the right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => displayWidth(row[column] ?? ''))));
  const format = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const fill = ' '.repeat((widths[column] ?? 0) - displayWidth(cell));
        return right.includes(column) ? fill + cell : cell + fill;
      })
      .join('  ')
      .trimEnd();
  return [format(header), widths.map((width) => '─'.repeat(Math.min(width, 60))).join('  '), ...rows.map(format)].join(
    '\n',
  );
}

/** Characters as a terminal shows them, colours aside. */
const displayWidth = (text: string): number => [...stripVTControlCharacters(text)].length;

/** `200MB`, `1.5 GB`, `64MiB` in bytes; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(k|M|G)(i?)B$/i.exec(text.trim());
  if (!match) return undefined;
  const power = { k: 1, m: 2, g: 3 }[(match[2] as string).toLowerCase()] as number;
  return Math.round(Number(match[1]) * (match[3] ? 1024 : 1000) ** power);
}
