import { afterEach, describe, expect, it } from 'vitest';
import { plainText, readMessage, startWebhook, type Webhook } from '../../lib/cli/rehearse/webhook.ts';

const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text } });
const message = (...blocks: unknown[]) => JSON.stringify({ text: 'fallback', blocks });

describe('what Slack would refuse', () => {
  it.each([
    ['not JSON', '{', 'invalid_payload'],
    ['no fallback', JSON.stringify({ blocks: [section('x')] }), 'no_text'],
    ['no blocks', JSON.stringify({ text: 'x' }), 'no_blocks'],
    ['51 blocks', message(...Array(51).fill(section('x'))), /more than 50/],
    ['a section of 3,001 characters', message(section('x'.repeat(3001))), /blocks\[0\]: text is longer than 3000/],
    ['an empty text', message(section('x'), section('')), /blocks\[1\]: text is empty/],
    ['11 fields', message({ type: 'section', fields: Array(11).fill({ type: 'mrkdwn', text: 'x' }) }), /fields/],
    ['a header with mrkdwn', message({ type: 'header', text: { type: 'mrkdwn', text: 'x' } }), /plain_text/],
    ['an unknown block', message({ type: 'sectoin' }), /unknown type "sectoin"/],
  ])('%s', (_, body, reason) => {
    const refusal = readMessage(body);
    expect(typeof refusal).toBe('string');
    expect(refusal).toMatch(reason);
  });

  it('takes the largest that is allowed', () => {
    expect(readMessage(message(...Array(50).fill(section('x'.repeat(3000)))))).toMatchObject({ text: 'fallback' });
  });
});

describe('webhook', () => {
  let webhook: Webhook;
  afterEach(() => webhook.close());
  const post = (url: string, body: string) => fetch(url, { method: 'POST', body });

  it('keeps messages, answers as Slack does, and wakes those who wait', async () => {
    webhook = await startWebhook();
    const waiting = webhook.waitFor(({ text }) => text === 'fallback', 5);
    const response = await post(webhook.url, message(section('*hello*')));
    expect([response.status, await response.text()]).toEqual([200, 'ok']);
    expect(plainText((await waiting) as never)).toBe('*hello*');
    expect(webhook.messages).toHaveLength(1);
  });

  it('refuses other paths and bad messages', async () => {
    webhook = await startWebhook();
    expect((await post(new URL('/services/guess', webhook.url).href, message(section('x')))).status).toBe(404);
    expect((await post(webhook.url, '{}')).status).toBe(400);
    expect(webhook.messages).toHaveLength(0);
    expect(webhook.refused).toEqual(['no_text']);
    expect(await webhook.waitFor(() => true, 0.05)).toBeUndefined();
  });
});

describe('text of a message', () => {
  it('has every text once, in order', () => {
    const blocks = [
      { type: 'header', text: { type: 'plain_text', text: 'Title' } },
      {
        type: 'section',
        fields: [
          { type: 'mrkdwn', text: 'a' },
          { type: 'mrkdwn', text: 'b' },
        ],
      },
      { type: 'context', elements: [{ type: 'mrkdwn', text: 'c' }] },
    ];
    expect(plainText({ at: '', text: 'fallback', blocks })).toBe('Title\na\nb\nc');
  });
});
