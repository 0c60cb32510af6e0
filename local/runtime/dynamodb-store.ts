import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { AwsError } from '../facade.ts';

/** The tables of one region, in memory. One operation at a time, so that what spans several items is atomic. */
export interface DynamoStore {
  /** An operation that dynalite offers. @throws AwsError as DynamoDB answers */
  call(operation: string, input: object): Promise<Record<string, any>>;
  /** Runs `work` while nothing else is done to the tables; `call` is for use within it. */
  alone<T>(work: (call: DynamoStore['call']) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

type Dynalite = (options: {
  readonly createTableMs: number;
  readonly deleteTableMs: number;
  readonly updateTableMs: number;
}) => Server;

/** dynalite looks whether there is a signature, and no further. */
const HEADERS = {
  'content-type': 'application/x-amz-json-1.0',
  'x-amz-date': '20260101T000000Z',
  authorization: 'AWS4-HMAC-SHA256 Credential=a/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
};

/** Starts dynalite on a port of the loopback that only this process is told of. */
export async function startDynamoStore(): Promise<DynamoStore> {
  // A CommonJS package without types.
  const dynalite: Dynalite = createRequire(import.meta.url)('dynalite');
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  let last: Promise<unknown> = Promise.resolve();

  const send = async (operation: string, input: object): Promise<Record<string, any>> => {
    const headers = { ...HEADERS, 'x-amz-target': `DynamoDB_20120810.${operation}` };
    const response = await fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(input) });
    const answer = (await response.json()) as Record<string, any>;
    if (response.ok) return answer;
    const code = String(answer.__type).split('#').at(-1) ?? 'InternalServerError';
    throw new AwsError(code, answer.message ?? answer.Message ?? code, response.status);
  };
  const alone = <T>(work: (call: DynamoStore['call']) => Promise<T>): Promise<T> => {
    const done = last.then(() => work(send));
    last = done.catch(() => {});
    return done;
  };

  return {
    call: (operation, input) => alone((call) => call(operation, input)),
    alone,
    close: async () => {
      await last;
      await new Promise<void>((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      });
    },
  };
}
