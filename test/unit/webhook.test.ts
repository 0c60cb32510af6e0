import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { postJson } from '../../lib/aws/webhook.ts';

/** A webhook that answers as it is told, one status after another. */
let close: () => void = () => {};
let asked = 0;

async function webhook(...statuses: readonly number[]): Promise<string> {
  asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(statuses[asked++] ?? 200, { 'retry-after': '0' }).end('no_service');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/secret`;
}

afterEach(() => close());

it.each([429, 503])('asks again after %d', async (status) => {
  await postJson(await webhook(status), { text: 'hello' });
  expect(asked).toBe(2);
});

it('takes a refusal for what it is, and keeps the address to itself', async () => {
  const url = await webhook(404);
  const error = await postJson(url, {}).catch((thrown: Error) => thrown);
  expect(String(error)).toBe('Error: the webhook answered 404: no_service');
  expect(asked).toBe(1);
});
