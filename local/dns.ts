import type DNS from 'dns2';
import { createTCPServer, createUDPServer, Packet } from 'dns2';
import type { Answer, AnswerRecord } from './runtime/route53/resolve.ts';

/** A name server on 127.0.0.1, over UDP and TCP at the same port. */
export interface DnsServer {
  readonly address: '127.0.0.1';
  readonly port: number;
  close(): Promise<void>;
}

export interface DnsOptions {
  /** @default 0: one that is free */
  readonly port?: number;
  /** What is answered: the name in lower case with its dot, the type by its letters. */
  readonly resolve: (name: string, type: string) => Answer;
  /** Told of questions that could not be understood or answered. */
  readonly note: (message: string) => void;
}

/** A port that is free for UDP may be taken for TCP: then the next one is tried. */
const ATTEMPTS = 20;

/** It answers with authority for the zones of the cloud, follows CNAMEs within them, and refuses all else. */
export async function startDns(options: DnsOptions): Promise<DnsServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listen(options);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken || options.port || attempt === ATTEMPTS) throw error;
    }
  }
}

async function listen({ port = 0, resolve, note }: DnsOptions): Promise<DnsServer> {
  const handle = (request: DNS.Packet, send: (response: DNS.Packet) => unknown): void => {
    const response = Packet.createResponseFromRequest(request);
    const [question] = request.questions;
    try {
      if (question === undefined || request.questions.length > 1) response.header.rcode = Packet.RCODE.FORMERR;
      else {
        const name = `${question.name.toLowerCase().replace(/\.$/, '')}.`;
        const answer = resolve(name, Packet.typeName(question.type));
        const toResource = (record: AnswerRecord) =>
          ({
            name: record.name.replace(/\.$/, ''),
            type: Packet.TYPE[record.type as keyof typeof Packet.TYPE],
            class: Packet.CLASS.IN,
            ttl: record.ttl,
            ...dataOf(record),
          }) as DNS.Packet.Resource;
        response.header.rcode = Packet.RCODE[answer.code];
        response.header.aa = answer.code === 'REFUSED' ? 0 : 1;
        response.answers = answer.answers.map(toResource);
        response.authorities = answer.authorities.map(toResource);
      }
    } catch (error) {
      note(`dns: ${question?.name}: ${(error as Error).stack}`);
      response.header.rcode = Packet.RCODE.SERVFAIL;
    }
    void Promise.resolve(send(response)).catch((error: Error) => note(`dns: an answer was not sent: ${error.message}`));
  };
  const udp = createUDPServer(handle);
  const tcp = createTCPServer(handle);
  const connections = new Set<{ destroy(): void }>();
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  const close = async (): Promise<void> => {
    for (const connection of connections) connection.destroy();
    await Promise.all([
      new Promise<void>((done) => udp.close(() => done())),
      new Promise<void>((done) => (tcp.listening ? tcp.close(() => done()) : done())),
    ]);
  };
  for (const server of [udp, tcp]) server.on('requestError', (error: Error) => note(`dns: ${error.message}`));
  await new Promise<void>((ready, fail) => {
    udp.once('error', fail);
    udp.bind(port, '127.0.0.1', () => ready());
  });
  const bound = udp.address().port;
  try {
    await new Promise<void>((ready, fail) => {
      tcp.once('error', fail);
      tcp.listen(bound, '127.0.0.1', () => ready());
    });
  } catch (error) {
    await close();
    throw error;
  }
  for (const server of [udp, tcp]) server.on('error', (error: Error) => note(`dns: ${error.message}`));
  return { address: '127.0.0.1', port: bound, close };
}

/** The members by which dns2 knows a record's data. */
function dataOf({ type, value }: AnswerRecord): Record<string, unknown> {
  const words = value.split(/\s+/);
  const name = (text: string | undefined): string => (text ?? '').replace(/\.$/, '');
  switch (type) {
    case 'A':
    case 'AAAA':
      return { address: value };
    case 'CNAME':
    case 'PTR':
      return { domain: name(value) };
    case 'NS':
      return { ns: name(value) };
    case 'MX':
      return { priority: Number(words[0]), exchange: name(words[1]) };
    case 'TXT':
      return { data: [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text?.replace(/\\(.)/g, '$1')) };
    case 'SOA': {
      const [serial, refresh, retry, expiration, minimum] = words.slice(2).map(Number);
      return { primary: name(words[0]), admin: name(words[1]), serial, refresh, retry, expiration, minimum };
    }
    default:
      throw new Error(`no way to write the type ${type}`);
  }
}
