import { readAlarmText } from './alarm-text.ts';
import { cut, escapeText, limits, type SlackMessage, section } from './slack-text.ts';

/** An alarm's change of state as CloudWatch tells it to a topic; both kinds of alarms have these fields. */
export interface AlarmNotice {
  readonly AlarmName: string;
  readonly AlarmDescription: string | null;
  readonly NewStateValue: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';
  readonly OldStateValue: string;
  readonly NewStateReason: string;
  readonly StateChangeTime: string;
  /** A name for people; the code is in the ARN. */
  readonly Region: string;
  readonly AlarmArn: string;
}

export const isAlarmNotice = (value: unknown): value is AlarmNotice =>
  typeof value === 'object' && value !== null && 'AlarmArn' in value && 'NewStateValue' in value;

/** An alarm that was just made says OK when it is first evaluated: nothing was wrong, and nothing is over. */
export const isWorthTelling = ({ OldStateValue, NewStateValue }: AlarmNotice): boolean =>
  NewStateValue === 'ALARM' || OldStateValue !== 'INSUFFICIENT_DATA';

/** One Slack message for an alarm that went on or off. */
export function slackAlarm(notice: AlarmNotice): SlackMessage {
  const text = readAlarmText(notice.AlarmDescription ?? '');
  // AWS ends a name at 255 characters; whatever comes, a message is not lost for the length of one.
  const name = cut(notice.AlarmName.toWellFormed(), 255);
  const says = text?.says ?? notice.AlarmDescription ?? notice.AlarmName;
  const region = notice.AlarmArn.split(':')[3] ?? notice.Region;
  const console = `https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}#alarmsV2:alarm/${encodeURIComponent(name)}`;
  const headline = `${stateOf(notice, text?.severity)}: ${text?.about ?? notice.AlarmName}: ${says}`;
  const runbook = text && link(text.runbook);
  return {
    text: cut(escapeText(headline), limits.section),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(headline, limits.header), emoji: true } },
      section(`${escapeText(cut(notice.NewStateReason, 1500))}`),
      ...(runbook ? [section(`*Runbook:* ${runbook}`)] : []),
      {
        type: 'context',
        elements: [
          {
            type: 'mrkdwn',
            text: `<${console}|${escapeText(name)}> · ${escapeText(region)} · ${escapeText(cut(notice.StateChangeTime, 40))}`,
          },
        ],
      },
    ],
  };
}

function stateOf({ NewStateValue }: AlarmNotice, severity: string | undefined): string {
  if (NewStateValue === 'OK') return '🟢 Over';
  if (NewStateValue === 'INSUFFICIENT_DATA') return '⚪ Unknown';
  return severity === 'warning' ? '⚠️ Warning' : '🔴 Alarm';
}

/** A URL as a link, a path as it is. */
export const link = (target: string): string =>
  /^https:\/\/[^\s|<>]+$/.test(target)
    ? `<${target}|${escapeText(target.split('/').at(-1) ?? target)}>`
    : escapeText(target);
