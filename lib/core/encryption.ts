/**
 * Client-side encryption: what an encrypted object is bound to. The context is authenticated with every frame of the
 * object, sent to KMS with every use of its key, and shown in KMS's own log; so an object that was copied to another
 * key, backup or database cannot be opened there, and a role can be held to its own database.
 */

/** `encryption` of an object in the manifest whose bytes only a holder of the client key can read. */
export const clientEncryption = 'aws-encryption-sdk';

/** Frames of plaintext, each with a tag of its own: see the measurement in docs/encryption.md. */
export const frameBytes = 256 * 1024;

/** Names of the context's pairs, which policies demand by `kms:EncryptionContext:…`. */
export const contextNames = {
  system: 'pgdr-system',
  database: 'pgdr-database',
  backup: 'pgdr-backup',
  object: 'pgdr-object',
} as const;

export type EncryptionContext = Readonly<Record<string, string>>;

/** The context of the object under a key of the bucket: all of it follows from the key. */
export function encryptionContext(key: string): EncryptionContext {
  const [, system, database, backup] = /^([^/]+)\/([^/]+)\/[^/]+\/[^/]+\/([^/]+)\/.+$/.exec(key) ?? [];
  if (!system || !database || !backup) throw new Error(`${key} is not the key of an object of a backup`);
  return {
    [contextNames.system]: system,
    [contextNames.database]: database,
    [contextNames.backup]: backup,
    [contextNames.object]: key,
  };
}

/** The first pair in which a context is not the one that is expected, in words; undefined when they are equal. */
export function contextDifference(expected: EncryptionContext, found: EncryptionContext): string | undefined {
  for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    if (expected[name] === found[name]) continue;
    return `${name} is ${found[name] ?? 'missing'}, not ${expected[name] ?? 'expected at all'}`;
  }
  return undefined;
}
