import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { TCPClient, UDPClient } from 'dns2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DnsServer, startDns } from '../../local/dns.ts';
import type { RecordSet } from '../../local/runtime/route53/records.ts';
import { resolve } from '../../local/runtime/route53/resolve.ts';

const simple = (name: string, type: string, ttl: number, ...values: string[]): RecordSet => ({
  name,
  type,
  ttl,
  values,
});
const failover = (which: 'PRIMARY' | 'SECONDARY', value: string, healthCheckId?: string): RecordSet => ({
  name: 'db.internal.',
  type: 'CNAME',
  ttl: 5,
  values: [value],
  failover: which,
  setIdentifier: which,
  healthCheckId,
});
const long = Array.from({ length: 60 }, (_, i) => `10.1.${i}.1`);
const zone = {
  name: 'internal.',
  records: [
    simple('internal.', 'SOA', 900, 'ns-1.invalid. hostmaster.internal. 1 7200 900 1209600 86400'),
    simple('internal.', 'NS', 172800, 'ns-1.invalid.'),
    simple('a.internal.', 'A', 60, '10.0.0.1', '10.0.0.2'),
    simple('six.internal.', 'AAAA', 60, 'fd00::1'),
    simple('text.internal.', 'TXT', 60, '"one" "two \\"quoted\\""'),
    simple('mx.internal.', 'MX', 60, '10 a.internal.'),
    simple('*.wild.internal.', 'A', 60, '10.0.0.9'),
    simple('own.wild.internal.', 'TXT', 60, '"own"'),
    simple('out.internal.', 'CNAME', 60, 'elsewhere.example.'),
    simple('circle.internal.', 'CNAME', 60, 'circle.internal.'),
    simple('one.internal.', 'A', 60, '10.0.0.11'),
    simple('two.internal.', 'A', 60, '10.0.0.22'),
    simple('long.internal.', 'A', 60, ...long),
    failover('PRIMARY', 'one.internal.', 'check'),
    failover('SECONDARY', 'two.internal.'),
  ],
};
const notes: string[] = [];
let healthy = true;
let server: DnsServer;
let resolver: Resolver;

beforeAll(async () => {
  server = await startDns({
    resolve: (name, type) => resolve([zone], name, type, () => healthy),
    note: (message) => void notes.push(message),
  });
  resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
});

afterAll(() => server.close());

describe('the name server', () => {
  it('answers every type of record, with its time to live', async () => {
    expect(await resolver.resolve4('a.internal', { ttl: true })).toEqual([
      { address: '10.0.0.1', ttl: 60 },
      { address: '10.0.0.2', ttl: 60 },
    ]);
    expect(await resolver.resolve4('A.Internal')).toHaveLength(2);
    expect(await resolver.resolve6('six.internal')).toEqual(['fd00::1']);
    expect(await resolver.resolveTxt('text.internal')).toEqual([['one', 'two "quoted"']]);
    expect(await resolver.resolveMx('mx.internal')).toMatchObject([{ exchange: 'a.internal', priority: 10 }]);
    expect(await resolver.resolveNs('internal')).toEqual(['ns-1.invalid']);
    expect(await resolver.resolveSoa('internal')).toMatchObject({ nsname: 'ns-1.invalid', minttl: 86400 });
  });

  it('follows failover at once, through the CNAME, with the record’s own short time to live', async () => {
    healthy = true;
    const { answers } = await UDPClient({ dns: '127.0.0.1', port: server.port })('db.internal', 'A');
    expect(answers.map(({ name, ttl, domain, address }) => [name, ttl, domain ?? address])).toEqual([
      ['db.internal', 5, 'one.internal'],
      ['one.internal', 60, '10.0.0.11'],
    ]);
    healthy = false;
    expect(await resolver.resolve4('db.internal')).toEqual(['10.0.0.22']);
    expect(await resolver.resolveCname('db.internal')).toEqual(['two.internal']);
    healthy = true;
    expect(await resolver.resolve4('db.internal')).toEqual(['10.0.0.11']);
  });

  it('tells what does not exist from what has no such record, and refuses what is not its own', async () => {
    await expect(resolver.resolve4('none.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.resolve6('a.internal')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver.resolve4('wild.internal')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver.resolve4('example.org')).rejects.toMatchObject({ code: 'EREFUSED' });
    await expect(resolver.resolve4('circle.internal')).rejects.toMatchObject({ code: 'ESERVFAIL' });
    expect(await resolver.resolveCname('out.internal')).toEqual(['elsewhere.example']);
    const { authorities } = await UDPClient({ dns: '127.0.0.1', port: server.port })('none.internal', 'A');
    expect(authorities).toMatchObject([{ name: 'internal', ttl: 900, minimum: 86400 }]);
  });

  it('lets an asterisk stand for names that have nothing of their own', async () => {
    expect(await resolver.resolve4('any.wild.internal')).toEqual(['10.0.0.9']);
    await expect(resolver.resolve4('own.wild.internal')).rejects.toMatchObject({ code: 'ENODATA' });
  });

  it('answers over TCP, which is where UDP sends for what is long', async () => {
    const { answers } = await TCPClient({ dns: '127.0.0.1', port: server.port })('long.internal', 'A');
    expect(answers.map(({ address }) => address)).toEqual(long);
    const direct = UDPClient({ dns: '127.0.0.1', port: server.port, retryOverTCP: false });
    const truncated = await direct('long.internal', 'A');
    expect([truncated.header.tc, truncated.answers]).toEqual([1, []]);
    expect(await resolver.resolve4('long.internal')).toHaveLength(60);
  });

  it('survives what is no question', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((sent) => socket.send(Buffer.from([1, 2, 3]), server.port, '127.0.0.1', () => sent()));
    await expect.poll(() => notes.length).toBeGreaterThan(0);
    socket.close();
    expect(await resolver.resolve4('one.internal')).toEqual(['10.0.0.11']);
  });
});

describe('failover', () => {
  const answer = (records: RecordSet[], health: Record<string, boolean>) =>
    resolve([{ name: 'internal.', records }], 'db.internal.', 'CNAME', (id) => health[id] ?? false).answers[0]?.value;
  const both = [failover('PRIMARY', 'one.', 'p'), failover('SECONDARY', 'two.', 's')];

  it.each([
    [true, true, 'one.'],
    [false, true, 'two.'],
    [false, false, 'one.'],
    [true, false, 'one.'],
  ])('primary healthy: %s, secondary: %s, answer %s', (p, s, expected) => {
    expect(answer(both, { p, s })).toBe(expected);
  });

  it('takes a secondary without a health check for healthy, and what there is where one is missing', () => {
    expect(answer([failover('PRIMARY', 'one.', 'p'), failover('SECONDARY', 'two.')], { p: false })).toBe('two.');
    expect(answer([failover('PRIMARY', 'one.', 'p')], { p: false })).toBe('one.');
    expect(answer([failover('SECONDARY', 'two.', 's')], { s: false })).toBe('two.');
  });

  it('looks through an alias at the health of what it leads to', () => {
    const alias = (which: 'PRIMARY' | 'SECONDARY', name: string): RecordSet => ({
      ...failover(which, '', undefined),
      ttl: undefined,
      values: [],
      alias: { zoneId: 'Z', name, evaluateTargetHealth: true },
    });
    const target = { ...failover('PRIMARY', 'deep.', 'p'), name: 'target.internal.' };
    const records = [alias('PRIMARY', 'target.internal.'), failover('SECONDARY', 'two.'), target];
    expect([answer(records, { p: true }), answer(records, { p: false })]).toEqual(['deep.', 'two.']);
  });
});
