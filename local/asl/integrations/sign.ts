import { createHash, createHmac } from 'node:crypto';
import type { Caller } from './sdk.ts';

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text, 'utf8').digest();

/** Signature Version 4 of one request; returns its headers with the signature added. */
export function sign(
  { credentials, region }: Caller,
  service: string,
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
): Record<string, string> {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
  const signed: Record<string, string> = {
    ...headers,
    host: url.host,
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': time,
    'x-amz-security-token': credentials.sessionToken,
  };
  const names = Object.keys(signed).sort();
  // Every service but S3 signs the path encoded once more.
  const path = url.pathname.split('/').map(encodeURIComponent).join('/');
  const query = [...url.searchParams].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  const request = [
    method,
    path,
    query.sort().join('&'),
    ...names.map((name) => `${name}:${signed[name]?.trim()}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n');
  const dated = hmac(`AWS4${credentials.secretAccessKey}`, time.slice(0, 8));
  const key = hmac(hmac(hmac(dated, region), service), 'aws4_request');
  const { host: _host, ...sent } = signed;
  return {
    ...sent,
    authorization: [
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}`,
      `SignedHeaders=${names.join(';')}`,
      `Signature=${hmac(key, text).toString('hex')}`,
    ].join(', '),
  };
}
