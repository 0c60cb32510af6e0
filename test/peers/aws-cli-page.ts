/** Reading the commands of docs/local-cloud.md. */

export interface Command {
  /** Its place on the page, from 1. */
  readonly index: number;
  readonly text: string;
  /** What its output holds: the lines `# → …` below it. */
  readonly holds: readonly string[];
  /** For a command that has to fail, `# ✗ …`: what its error holds. */
  readonly failsWith?: string;
}

/** All lines of the ```sh blocks; each is a command of its own. */
export function readCommands(page: string): Command[] {
  const lines = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = '']) => block.trimEnd().split('\n'));
  const commands: { index: number; text: string; holds: string[]; failsWith?: string }[] = [];
  for (const line of lines) {
    const [, mark, expected = ''] = /^# ([→✗]) (.+)$/.exec(line) ?? [];
    const last = commands.at(-1);
    if (mark === undefined) commands.push({ index: commands.length + 1, text: line, holds: [] });
    else if (last === undefined) throw new Error(`${line} has no command above it.`);
    else if (mark === '→') last.holds.push(expected);
    else last.failsWith = expected;
  }
  return commands;
}

/** `<service> <command>` of every call, each once, in order of the alphabet. */
export function usedCommands(commands: readonly Command[]): string[] {
  const calls = commands.flatMap(({ text }) => [
    ...text.matchAll(/\baws (?:--endpoint-url "\$AWS_ENDPOINT_URL" )?([a-z0-9]+) ([a-z0-9-]+)/g),
  ]);
  return [...new Set(calls.map(([, service, command]) => `${service} ${command}`))].sort();
}

/** The same of the page's table of commands: rows of a service in code, then a list of commands in code. */
export function namedCommands(page: string): string[] {
  const table = page.split('| Service | Commands |\n|---|---|\n')[1]?.split('\n\n')[0] ?? '';
  return table
    .split('\n')
    .flatMap((row) => {
      const [, service, commands = ''] = /^\| `([a-z0-9]+)` \| (.+) \|$/.exec(row) ?? [];
      return [...commands.matchAll(/`([a-z0-9-]+)`/g)].map(([, command]) => `${service} ${command}`);
    })
    .sort();
}
