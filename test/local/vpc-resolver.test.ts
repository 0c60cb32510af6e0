import dns from 'node:dns';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DnsServer, startDns } from '../../local/dns.ts';
import { resolve } from '../../local/runtime/route53/resolve.ts';
import { useNameServer } from '../../local/runtime/vpc-resolver.ts';

/** A process whose look-ups go to the cloud's name server, as those of a function in a VPC do. */

let server: DnsServer;
const { lookup } = dns;
const promised = dns.promises.lookup;
const record = (name: string, type: string, value: string) => ({ name, type, ttl: 5, values: [value] }) as never;
const zone = {
  name: 'db.internal.',
  records: [
    record('db.internal.', 'SOA', 'a. b. 1 2 3 4 5'),
    record('orders.db.internal.', 'CNAME', 'orders-2.db.internal.'),
    record('orders-2.db.internal.', 'A', '127.0.0.2'),
  ],
};

beforeAll(async () => {
  server = await startDns({ resolve: (name, type) => resolve([zone], name, type, () => true), note: () => {} });
  useNameServer(`${server.address}:${server.port}`);
});
afterAll(async () => {
  dns.lookup = lookup;
  dns.promises.lookup = promised;
  await server.close();
});

const look = (name: string, options: object) =>
  new Promise((done, fail) => dns.lookup(name, options, (error, address) => (error ? fail(error) : done(address))));

it('finds names of the zones, CNAMEs followed, in every way that Node asks', async () => {
  expect(await dns.promises.lookup('orders.db.internal')).toEqual({ address: '127.0.0.2', family: 4 });
  expect(await look('orders.db.internal', {})).toBe('127.0.0.2');
  expect(await look('orders.db.internal', { all: true })).toEqual([{ address: '127.0.0.2', family: 4 }]);
});

it('leaves addresses and other names to this machine', async () => {
  expect(await look('127.0.0.1', {})).toBe('127.0.0.1');
  expect((await dns.promises.lookup('localhost', { family: 4 })).address).toBe('127.0.0.1');
});

it('knows that a name of a zone is not there', async () => {
  await expect(dns.promises.lookup('nobody.db.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});
