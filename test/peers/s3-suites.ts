import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { describe, test } from 'vitest';

/** What suites that are run against several S3 servers have in common. */

/** A server that a suite is run against. */
export interface S3Endpoint {
  readonly region: string;
  client(options?: Partial<S3ClientConfig>): S3Client;
}

export interface Case {
  readonly name: string;
  readonly run: (server: S3Endpoint) => Promise<void>;
}

/** What a server is known to do otherwise than AWS: the case's name, and what it does. */
export type Differences = Readonly<Record<string, string>>;

/**
 * Makes tests of cases. A case in which the server is known to differ must fail: one that passes after all is a
 * difference to be struck from the list.
 */
export function describeCases(
  title: string,
  cases: readonly Case[],
  server: () => S3Endpoint,
  differences: Differences = {},
): void {
  const names = cases.map(({ name }) => name);
  if (new Set(names).size < names.length) throw new Error(`${title}: two cases have the same name`);
  for (const name of Object.keys(differences)) {
    if (!names.includes(name)) throw new Error(`${title}: there is no case "${name}" in which to differ`);
  }
  describe(title, () => {
    for (const { name, run } of cases) {
      const difference = differences[name];
      if (difference === undefined) test(name, () => run(server()));
      else test.fails(`${name} [known to differ: ${difference}]`, () => run(server()));
    }
  });
}

/** The code and status of the error that a call must end with. */
export async function refused(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return `${$metadata?.httpStatusCode} ${name}`;
  }
  return 'not refused';
}

let made = 0;
/** A name that no other case has. */
export const uniqueName = (): string => `suite-${process.pid}-${Date.now().toString(36)}-${++made}`;
