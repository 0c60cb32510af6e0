import { Duplex, PassThrough } from 'node:stream';
import {
  AlgorithmSuiteIdentifier,
  AwsKmsMrkAwareSymmetricKeyringNode,
  buildClient,
  CommitmentPolicy,
} from '@aws-crypto/client-node';
import { KMS } from '@aws-sdk/client-kms';
import { contextDifference, encryptionContext, frameBytes } from '../core/encryption.ts';
import { PgdrError } from '../core/errors.ts';

/**
 * Envelope encryption in the format of the AWS Encryption SDK: each object has a data key of its own, sealed under a
 * multi-region key of KMS. The suite commits to its key and does not sign: every frame is authenticated before a byte
 * of it is released, which a signature at the end of a stream could not be.
 */
export interface ClientKey {
  /** ARN of the key in this region; its replica elsewhere has the same id. */
  readonly arn: string;
  readonly kms: KMS;
}

const suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
const sdk = buildClient({
  commitmentPolicy: CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
  // Ours alone: a message with more would make us ask KMS for keys of strangers.
  maxEncryptedDataKeys: 1,
});

/** The key behind an alias of this region. Throws `EncryptionKeyRefused`. */
export async function openClientKey(alias: string): Promise<ClientKey> {
  const kms = new KMS({
    maxAttempts: 5,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 20_000, throwOnRequestTimeout: true },
  });
  try {
    const { KeyMetadata } = await kms.describeKey({ KeyId: alias });
    return { arn: KeyMetadata?.Arn as string, kms };
  } catch (error) {
    throw keyRefused(alias, error);
  }
}

/** A stage of a pipeline, and the catalogue's words for an error that came out of it. */
export interface Cipher {
  readonly stream: Duplex;
  /** The cause of a failure in this stage; undefined when it lies elsewhere. */
  explain(error: unknown): PgdrError | undefined;
}

/** Encrypts a stream for one key of the bucket. */
export function encrypting(key: ClientKey, objectKey: string): Cipher {
  const { keyring, refusal } = keyringOf(key);
  const options = { suiteId, encryptionContext: encryptionContext(objectKey), frameLength: frameBytes };
  return {
    stream: isolated(sdk.encryptStream(keyring, options) as unknown as Duplex),
    explain: () => refusal(),
  };
}

/** Decrypts a stream that was encrypted for this key of the bucket and for no other, which `check`, the next stage, sees to. */
export function decrypting(
  key: ClientKey,
  objectKey: string,
): Cipher & { readonly check: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer> } {
  const { keyring, refusal } = keyringOf(key);
  const message = sdk.decryptUnsignedMessageStream(keyring) as unknown as Duplex;
  const expected = encryptionContext(objectKey);
  let found: Record<string, string> | undefined;
  let mismatch: PgdrError | undefined;
  message.once('MessageHeader', (header: { encryptionContext: Record<string, string> }) => {
    found = { ...header.encryptionContext };
  });
  const check = () => {
    const difference = contextDifference(expected, found ?? {});
    if (difference === undefined) return;
    mismatch = new PgdrError('EncryptionContextDiffers', `${objectKey} was encrypted for another place: ${difference}`);
    throw mismatch;
  };
  return {
    stream: isolated(message),
    check: async function* checked(source) {
      let first = true;
      for await (const chunk of source) {
        // The header comes before the first byte; an object without content has a header too.
        if (first) check();
        first = false;
        yield chunk;
      }
      if (first) check();
    },
    explain: (error) => {
      if (error instanceof PgdrError) return mismatch;
      // What zstd says of the plaintext comes with a code, what the SDK says of the ciphertext without one.
      return refusal() ?? ((error as { code?: string }).code ? undefined : undecipherable(key, objectKey, error));
    },
  };
}

/**
 * The SDK's stream behind streams of Node's own. Destroyed before its end, as a pipeline does with all its stages when
 * one of them fails, it throws inside of itself, where nobody can catch it and the process dies; so it is left to
 * itself instead, and nothing more comes out of it.
 */
function isolated(stream: Duplex): Duplex {
  const [writable, readable] = [new PassThrough(), new PassThrough()];
  stream.on('error', (error) => readable.destroy(error));
  writable.pipe(stream).pipe(readable);
  return Duplex.from({ writable, readable });
}

/** A keyring for one stream, which remembers what KMS itself refused: the SDK tells it as text alone. */
function keyringOf({ arn, kms }: ClientKey) {
  let refused: unknown;
  const remember = (error: unknown) => {
    refused = error;
    throw error;
  };
  const client = {
    generateDataKey: (input: Parameters<KMS['generateDataKey']>[0]) => kms.generateDataKey(input).catch(remember),
    encrypt: (input: Parameters<KMS['encrypt']>[0]) => kms.encrypt(input).catch(remember),
    decrypt: (input: Parameters<KMS['decrypt']>[0]) => kms.decrypt(input).catch(remember),
  };
  const keyring = new AwsKmsMrkAwareSymmetricKeyringNode({ client: client as unknown as KMS, keyId: arn });
  return { keyring, refusal: () => (refused === undefined ? undefined : keyRefused(arn, refused)) };
}

function keyRefused(key: string, error: unknown): PgdrError {
  const { name, message } = error as Error;
  // The key may be used, but what it is to open was not sealed by it, or not in this context.
  const altered = ['InvalidCiphertextException', 'IncorrectKeyException'].includes(name);
  return new PgdrError(altered ? 'DecryptionFailed' : 'EncryptionKeyRefused', `${key}: ${name}: ${message}`, {
    cause: error,
  });
}

/** The SDK's own errors: a tag that is wrong, a header of another key, an end that came too early. */
function undecipherable({ arn }: ClientKey, objectKey: string, error: unknown): PgdrError {
  const [line = ''] = (error as Error).message.split('\n');
  if (line.includes('No EDKs supplied')) {
    return new PgdrError('EncryptionKeyRefused', `${objectKey} was encrypted under another key than ${arn}`, {
      cause: error,
    });
  }
  return new PgdrError('DecryptionFailed', `${objectKey}: ${line}`, { cause: error });
}
