import type { ConditionValues, Permission, World } from '../facade.ts';

export interface KeyUse {
  /** The service that uses the key for its caller, as it is named in `kms:ViaService`: s3, sns, sqs, secretsmanager. */
  readonly service: string;
  readonly region: string;
  /** ARN, id, alias, or the ARN of an alias. */
  readonly key: string;
  /** KMS's encryption context: what is encrypted, for most services. */
  readonly encryptionContext?: Readonly<Record<string, string>>;
}

/** What a caller has to be allowed so that a service may use a KMS key in its name: `Decrypt`, `GenerateDataKey`. */
export function keyUse(world: World, use: KeyUse, ...operations: readonly string[]): Permission[] {
  const { service, region, key, encryptionContext = {} } = use;
  const id = key.startsWith('alias/') ? key : `key/${key}`;
  const resource = key.startsWith('arn:') ? key : `arn:aws:kms:${region}:${world.account}:${id}`;
  const conditions: ConditionValues = {
    'kms:ViaService': `${service}.${region}.amazonaws.com`,
    'aws:ViaAWSService': 'true',
    ...encryptionConditions(encryptionContext),
  };
  return operations.map((operation) => ({ action: `kms:${operation}`, resource, conditions }));
}

export function encryptionConditions(context: Readonly<Record<string, string>>): ConditionValues {
  const pairs = Object.entries(context);
  if (pairs.length === 0) return {};
  return {
    'kms:EncryptionContextKeys': pairs.map(([name]) => name),
    ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, value])),
  };
}
