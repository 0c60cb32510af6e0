/** What an image's configuration says about running it, as far as its Dockerfile gives it away. */
export interface ImageConfiguration {
  readonly entryPoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Reads ENTRYPOINT, CMD, USER and ENV of a Dockerfile's stage (`target`, else its last), with those of the stages
 * that it builds upon. Base images are not looked into. The shell form runs by `/bin/sh -c`, as in Docker.
 */
export function readDockerfile(
  text: string,
  buildArgs: Readonly<Record<string, string>> = {},
  target?: string,
): ImageConfiguration {
  const stages = new Map<string, ImageConfiguration>();
  const globals: Record<string, string> = {};
  let current: Mutable | undefined;
  let name = '';
  let variables: Record<string, string> = {};

  for (const [instruction, rest] of instructions(text)) {
    if (instruction === 'FROM') {
      if (current) stages.set(name, current);
      if (current && name === target) break;
      const [, base = '', alias] = /^(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?$/i.exec(substitute(rest, globals)) ?? [];
      const parent = stages.get(base.toLowerCase());
      current = { ...parent, environment: { ...parent?.environment } };
      name = (alias ?? String(stages.size)).toLowerCase();
      variables = { ...current.environment };
      continue;
    }
    if (instruction === 'ARG') {
      const [key = '', value] = rest.split(/=(.*)/s);
      const given = buildArgs[key] ?? (value === undefined ? globals[key] : substitute(unquote(value), variables));
      if (given !== undefined) (current ? variables : globals)[key] = given;
      continue;
    }
    if (!current) continue;
    if (instruction === 'ENV') {
      for (const [key, value] of environmentPairs(rest)) {
        current.environment[key] = variables[key] = substitute(value, variables);
      }
    } else if (instruction === 'USER') {
      current.user = substitute(rest, variables);
    } else if (instruction === 'ENTRYPOINT') {
      current.entryPoint = commandForm(rest);
      // A CMD inherited from before belongs to another program.
      delete current.command;
    } else if (instruction === 'CMD') {
      current.command = commandForm(rest);
    }
  }
  const chosen =
    current && (!target || name === target.toLowerCase()) ? current : stages.get(target?.toLowerCase() ?? '');
  if (!chosen) throw new Error(`the Dockerfile has no stage ${target ?? ''}`);
  return chosen;
}

interface Mutable {
  entryPoint?: readonly string[];
  command?: readonly string[];
  user?: string;
  environment: Record<string, string>;
}

function instructions(text: string): [string, string][] {
  return text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\[ \t]*\n/g, ' ')
    .split('\n')
    .map((line) => /^\s*([A-Za-z]+)\s+(.*?)\s*$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => [match[1]?.toUpperCase() ?? '', match[2] ?? '']);
}

function commandForm(rest: string): readonly string[] {
  if (!rest.startsWith('[')) return ['/bin/sh', '-c', rest];
  try {
    return JSON.parse(rest);
  } catch {
    return ['/bin/sh', '-c', rest];
  }
}

function environmentPairs(rest: string): [string, string][] {
  if (!/^[^\s=]+=/.test(rest)) {
    const [key = '', value = ''] = rest.split(/\s+(.*)/s);
    return [[key, value]];
  }
  return [...rest.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)/g)].map((m) => [m[1] ?? '', unquote(m[2] ?? '')]);
}

const unquote = (value: string): string => value.replace(/^"(.*)"$/s, '$1').replace(/^'(.*)'$/s, '$1');

const substitute = (value: string, variables: Readonly<Record<string, string>>): string =>
  value.replace(
    /\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
    (_, braced, fallback, plain) => variables[braced ?? plain] ?? fallback ?? '',
  );
