import { randomBytes } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';

/** A Slack incoming webhook in miniature: it takes what Slack would take, refuses what Slack would refuse. */

export interface SlackMessage {
  readonly at: string;
  /** The fallback that notifications show. */
  readonly text: string;
  readonly blocks: readonly Record<string, unknown>[];
}

export interface Webhook {
  /** The address that the secret holds. */
  readonly url: string;
  readonly messages: readonly SlackMessage[];
  /** Posts that Slack would have answered with an error, and why. */
  readonly refused: readonly string[];
  /** The first message from `from` on that satisfies the test, waiting for it up to `seconds`; undefined if none came. */
  waitFor(test: (message: SlackMessage) => boolean, seconds: number, from?: number): Promise<SlackMessage | undefined>;
  close(): Promise<void>;
}

const maxBody = 512 * 1024;

export async function startWebhook(onMessage: (message: SlackMessage) => void = () => {}): Promise<Webhook> {
  const path = `/services/${randomBytes(6).toString('hex')}/${randomBytes(12).toString('hex')}`;
  const messages: SlackMessage[] = [];
  const refused: string[] = [];
  const listeners = new Set<() => void>();

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBody) chunks.push(chunk);
    });
    request.on('end', () => {
      if (request.method !== 'POST' || request.url !== path) return answer(response, 404, 'no_service');
      const message = length > maxBody ? 'too_large' : readMessage(Buffer.concat(chunks).toString('utf8'));
      if (typeof message === 'string') {
        refused.push(message);
        return answer(response, 400, message);
      }
      messages.push(message);
      onMessage(message);
      for (const listener of listeners) listener();
      answer(response, 200, 'ok');
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as { port: number };

  return {
    url: `http://127.0.0.1:${port}${path}`,
    messages,
    refused,
    waitFor(test, seconds, from = 0) {
      return new Promise((done) => {
        const look = () => {
          const message = messages.slice(from).find(test);
          if (message) finish(message);
        };
        const finish = (message: SlackMessage | undefined) => {
          clearTimeout(timer);
          listeners.delete(look);
          done(message);
        };
        const timer = setTimeout(() => finish(undefined), seconds * 1000);
        listeners.add(look);
        look();
      });
    },
    close() {
      server.closeAllConnections();
      return new Promise((closed) => server.close(() => closed()));
    },
  };
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
}

/** A Block Kit message, or Slack's reason to refuse it. Limits: https://docs.slack.dev/reference/block-kit/blocks */
export function readMessage(body: string): SlackMessage | string {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return 'invalid_payload';
  }
  if (typeof value !== 'object' || value === null) return 'invalid_payload';
  const { text, blocks } = value as { text?: unknown; blocks?: unknown };
  if (typeof text !== 'string' || text === '') return 'no_text';
  if (!Array.isArray(blocks) || blocks.length === 0) return 'no_blocks';
  if (blocks.length > 50) return 'invalid_blocks: more than 50';
  for (const [index, block] of blocks.entries()) {
    const problem = problemOf(block);
    if (problem) return `invalid_blocks: blocks[${index}]: ${problem}`;
  }
  return { at: new Date().toISOString(), text, blocks };
}

interface TextObject {
  readonly type?: unknown;
  readonly text?: unknown;
}

function problemOf(block: unknown): string | undefined {
  if (typeof block !== 'object' || block === null) return 'not an object';
  const { type, text, fields, elements } = block as Record<string, unknown> & { fields?: unknown; elements?: unknown };
  switch (type) {
    case 'header':
      return textProblem(text, 150, ['plain_text']);
    case 'section': {
      if (text === undefined && fields === undefined) return 'a section needs text or fields';
      const own = text === undefined ? undefined : textProblem(text, 3000, ['plain_text', 'mrkdwn']);
      if (own) return own;
      if (fields === undefined) return undefined;
      if (!Array.isArray(fields) || fields.length === 0 || fields.length > 10) return 'fields: 1 to 10';
      return fields.map((field) => textProblem(field, 2000, ['plain_text', 'mrkdwn'])).find(Boolean);
    }
    case 'context':
    case 'actions': {
      const most = type === 'context' ? 10 : 25;
      return Array.isArray(elements) && elements.length > 0 && elements.length <= most
        ? undefined
        : `elements: 1 to ${most}`;
    }
    case 'divider':
    case 'image':
    case 'rich_text':
      return undefined;
    default:
      return `unknown type ${JSON.stringify(type)}`;
  }
}

function textProblem(value: unknown, most: number, types: readonly string[]): string | undefined {
  const { type, text } = (value ?? {}) as TextObject;
  if (typeof type !== 'string' || !types.includes(type)) return `text.type must be ${types.join(' or ')}`;
  if (typeof text !== 'string' || text.length === 0) return 'text is empty';
  return text.length > most ? `text is longer than ${most}` : undefined;
}

/** What a person reads in a message, one line per text, with mrkdwn left as it is. */
export function plainText(message: SlackMessage): string {
  const lines: string[] = [];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) for (const element of value) walk(element);
    else if (typeof value === 'object' && value !== null) {
      const { text } = value as { text?: unknown };
      if (typeof text === 'string') lines.push(text);
      else for (const inner of Object.values(value)) walk(inner);
      if (typeof text === 'string' && 'fields' in value) walk(value.fields);
    }
  };
  for (const block of message.blocks) {
    walk(block.text);
    walk(block.fields);
    walk(block.elements);
  }
  return lines.join('\n');
}
