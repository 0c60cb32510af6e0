import type { SNSEvent } from 'aws-lambda';
import { readSecret } from '../lib/aws/secret.ts';
import { postJson } from '../lib/aws/webhook.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { ApprovalMessage } from '../lib/core/failover/message.ts';
import type { Outcome } from '../lib/core/outcome.ts';
import { isAlarmNotice, isWorthTelling, slackAlarm } from '../lib/core/slack-alarm.ts';
import { approvalSlackMessage, slackMessage } from '../lib/core/slack-message.ts';
import { defineHandler, logger } from './define-handler.ts';

/**
 * Tells Slack of outcomes and alarms. A delivery that fails throws: Lambda calls again twice and keeps the message in
 * a dead-letter queue then. No workflow waits for any of it, so that a Slack outage never fails a backup.
 */
export const handler = defineHandler(async (event: SNSEvent): Promise<void> => {
  const url = webhookUrl(await readSecret(process.env.SLACK_WEBHOOK_SECRET ?? ''));
  for (const record of event.Records) {
    const told: unknown = JSON.parse(record.Sns.Message);
    if (isAlarmNotice(told) && !isWorthTelling(told)) continue;
    const message = messageOf(told);
    await postJson(url, message);
    logger.info('told Slack', { text: message.text });
  }
});

/** The secret holds the bare URL or {"url": "…"}; the URL is itself a secret and is never repeated. */
function webhookUrl(secret: string): string {
  const text = secret.trim();
  const url = text.startsWith('{') ? (JSON.parse(text) as { url?: unknown }).url : text;
  if (typeof url === 'string' && URL.canParse(url)) return url;
  throw new PgdrError('SecretUnusable', 'the Slack secret holds no webhook URL');
}

function messageOf(told: unknown) {
  if (isAlarmNotice(told)) return slackAlarm(told);
  const message = told as Outcome | ApprovalMessage;
  return message.workflow === 'approval' ? approvalSlackMessage(message) : slackMessage(message, process.env.RUNBOOKS);
}
