import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A key and a certificate for it, which nobody vouches for but itself. */
export interface SelfSigned {
  readonly privateKey: KeyObject;
  /** PEM, X.509 version 3. */
  readonly certificate: string;
}

const OID = {
  commonName: [2, 5, 4, 3],
  sha256WithRsa: [1, 2, 840, 113549, 1, 1, 11],
} as const;

const TAG = { integer: 0x02, bits: 0x03, null: 0x05, oid: 0x06, utf8: 0x0c, time: 0x18, sequence: 0x30, set: 0x31 };

/** An RSA key of 2048 bits and its certificate, good from now on for ten years. Node makes keys, but no certificates. */
export function selfSigned(commonName: string): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const algorithm = der(TAG.sequence, oid(OID.sha256WithRsa), der(TAG.null));
  const name = der(
    TAG.sequence,
    der(TAG.set, der(TAG.sequence, oid(OID.commonName), der(TAG.utf8, Buffer.from(commonName)))),
  );
  const now = new Date();
  const end = new Date(now);
  end.setUTCFullYear(now.getUTCFullYear() + 10);
  const serial = randomBytes(16);
  // Positive, and with no leading zero octet.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = der(
    TAG.sequence,
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    name,
    der(TAG.sequence, time(now), time(end)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = der(TAG.bits, Buffer.from([0]), sign('sha256', body, privateKey));
  const whole = der(TAG.sequence, body, algorithm, signature).toString('base64');
  const lines = whole.match(/.{1,64}/g) ?? [];
  return {
    privateKey,
    certificate: ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'),
  };
}

/** One element of the distinguished encoding rules: tag, length, content. */
function der(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length);
  const digits = size.subarray(size.findIndex((octet) => octet !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length]), digits, body]);
}

function oid([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const octets = rest.flatMap((part) => {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(TAG.oid, Buffer.from([first * 40 + second, ...octets]));
}

/** GeneralizedTime. */
const time = (date: Date): Buffer => der(TAG.time, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+Z$/g, '')}Z`));
