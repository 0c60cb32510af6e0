import { sign } from 'node:crypto';
import { type SelfSigned, selfSigned } from './certificate.ts';

export type SignatureVersion = '1' | '2';

/** Signs what SNS sends, by AWS's rules, with a key of this process. */
export interface SnsSigner {
  /** Where the certificate is to be had, below the cloud's endpoint. */
  readonly path: string;
  /** PEM. */
  certificate(): string;
  /** The message with SignatureVersion, Signature and SigningCertURL. Keys with no value are left out. */
  seal(message: Readonly<Record<string, unknown>>, version: SignatureVersion): Record<string, unknown>;
}

/** What is signed, in this order; Subject only where there is one. */
const SIGNED = ['Message', 'MessageId', 'Subject', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];

/** Shared by the clouds of one process: making it takes a moment. */
let pair: SelfSigned | undefined;

export function createSnsSigner(endpoint: string): SnsSigner {
  const keys = (): SelfSigned => {
    pair ??= selfSigned('sns.amazonaws.com');
    return pair;
  };
  const path = '/SimpleNotificationService.pem';
  return {
    path,
    certificate: () => keys().certificate,
    seal: (message, version) => ({
      ...message,
      SignatureVersion: version,
      Signature: sign(
        version === '1' ? 'sha1' : 'sha256',
        Buffer.from(stringToSign(message)),
        keys().privateKey,
      ).toString('base64'),
      SigningCertURL: endpoint + path,
    }),
  };
}

/** `Message\n<text>\nMessageId\n<id>\n…`: Subject is of notifications, SubscribeURL and Token of confirmations. */
function stringToSign(message: Readonly<Record<string, unknown>>): string {
  return SIGNED.filter((name) => message[name] !== undefined && message[name] !== null)
    .map((name) => `${name}\n${message[name]}\n`)
    .join('');
}
