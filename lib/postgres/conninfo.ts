import type { Connection } from './connection.ts';

/** A connection string of libpq without the password, which other users of the host could read on a command line. */
export function conninfo(
  { host, port, username, dbname, sslmode }: Connection,
  more: Readonly<Record<string, string | undefined>> = {},
): string {
  const quote = (value: string) => `'${value.replace(/(['\\])/g, '\\$1')}'`;
  const words = { host, port: String(port), user: username, dbname, sslmode, ...more };
  return Object.entries(words)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quote(value)}`]))
    .join(' ');
}
