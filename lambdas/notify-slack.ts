import type { SNSEvent } from 'aws-lambda';
import { readSecret } from '../lib/aws/secret.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Outcome } from '../lib/core/outcome.ts';
import { slackMessage } from '../lib/core/slack-message.ts';
import { defineHandler, logger } from './define-handler.ts';

/**
 * Tells Slack. A delivery that fails throws: SNS calls again with backoff, and no workflow waits for it, so that a
 * Slack outage never fails a backup.
 */
export const handler = defineHandler(async (event: SNSEvent): Promise<void> => {
  const url = webhookUrl(await readSecret(process.env.SLACK_WEBHOOK_SECRET ?? ''));
  for (const record of event.Records) {
    const outcome = JSON.parse(record.Sns.Message) as Outcome;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(slackMessage(outcome)),
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) throw new Error(`Slack answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
    logger.info('told Slack', { workflow: outcome.workflow, database: outcome.database, ok: outcome.ok });
  }
});

/** The secret holds the bare URL or {"url": "…"}; the URL is itself a secret and is never repeated. */
function webhookUrl(secret: string): string {
  const text = secret.trim();
  const url = text.startsWith('{') ? (JSON.parse(text) as { url?: unknown }).url : text;
  if (typeof url === 'string' && URL.canParse(url)) return url;
  throw new PgdrError('SecretUnusable', 'the Slack secret holds no webhook URL');
}
