import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PgdrError } from '../core/errors.ts';

/** The text of a secret; `SecretUnusable` says why it cannot be had, never what it holds. */
export async function readSecret(name: string): Promise<string> {
  const client = new SecretsManagerClient({ maxAttempts: 5 });
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: name }));
    if (SecretString) return SecretString;
  } catch (error) {
    throw new PgdrError('SecretUnusable', `secret ${name}: ${(error as Error).name}`, { cause: error });
  }
  throw new PgdrError('SecretUnusable', `secret ${name} holds no text`);
}
