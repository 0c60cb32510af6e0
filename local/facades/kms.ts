import { createCipheriv, createDecipheriv, createHash, randomBytes, randomUUID } from 'node:crypto';
import { AwsError, type CallContext, type Facade, type World } from '../facade.ts';
import { keyPolicy, managedKeyPolicy } from '../iam/default-policies.ts';
import { readPolicy } from '../iam/policy.ts';
import { authorizer } from '../runtime/api.ts';
import { encryptionConditions } from '../runtime/key-use.ts';
import { isTrue, onlyKnown } from '../runtime/properties.ts';

interface Key {
  readonly id: string;
  readonly arn: string;
  readonly region: string;
  /** 256 bits. The replicas of a multi-region key share it. */
  readonly material: Buffer;
  readonly description: string;
  readonly multiRegion: boolean;
  /** The primary's ARN, for a replica. */
  readonly primaryArn: string | undefined;
  enabled: boolean;
  /** When it will be gone, in milliseconds since the epoch; absent unless its deletion is scheduled. */
  deletedAt?: number;
  readonly manager: 'CUSTOMER' | 'AWS';
  readonly createdAt: Date;
  policy: unknown;
}

/** KMS: symmetric keys that truly encrypt (AES-256-GCM; the encryption context is authenticated with the data). */
export function createKms(world: World): Facade & {
  /** A key's policy as its template gave it. */
  policyOf(keyArn: string): unknown;
} {
  const authorize = authorizer(world, 'kms');
  const keys = new Map<string, Key>();
  /** `<region> alias/<name>` → the key's ARN. */
  const aliases = new Map<string, string>();

  const arnOf = (region: string, id: string): string => `arn:aws:kms:${region}:${world.account}:key/${id}`;
  const addKey = (key: Omit<Key, 'arn' | 'createdAt'>): Key => {
    const made: Key = { ...key, arn: arnOf(key.region, key.id), createdAt: new Date(world.now()) };
    keys.set(made.arn, made);
    return made;
  };

  /** A key by its id, ARN, alias or alias ARN. AWS's own keys (`alias/aws/…`) come to be when first asked for. */
  const find = (region: string, id: string): Key | undefined => {
    if (id.startsWith('arn:') && (id.split(':')[3] !== region || id.split(':')[4] !== world.account)) return undefined;
    const plain = id.startsWith('arn:') ? (id.split(':')[5] ?? '').replace(/^key\//, '') : id;
    if (!plain.startsWith('alias/')) return keys.get(arnOf(region, plain));
    const target = aliases.get(`${region} ${plain}`);
    if (target !== undefined) return keys.get(target);
    if (!/^alias\/aws\/[\w-]+$/.test(plain)) return undefined;
    const key = addKey({
      id: randomUUID(),
      region,
      material: randomBytes(32),
      description: `Default key of ${plain.slice('alias/aws/'.length)}`,
      multiRegion: false,
      primaryArn: undefined,
      enabled: true,
      manager: 'AWS',
      policy: managedKeyPolicy(world.account, region, plain.slice('alias/aws/'.length)),
    });
    aliases.set(`${region} ${plain}`, key.arn);
    return key;
  };

  const checked = async (
    operation: string,
    id: string | undefined,
    context: CallContext,
    input: Record<string, unknown>,
  ): Promise<Key> => {
    const key = id === undefined ? undefined : find(context.region, id);
    const conditions = encryptionConditions((input.EncryptionContext ?? {}) as Record<string, string>);
    await authorize(context, { operation, resource: key?.arn ?? id ?? '*', input, conditions });
    const state = key && stateOf(key);
    if (key === undefined || state === 'Deleted')
      throw new AwsError('NotFoundException', `There is no key ${id} in ${context.region}.`);
    const taken = (STATES[operation] ?? ['Enabled']).includes(state as KeyState);
    if (!taken && state === 'Disabled') throw new AwsError('DisabledException', `The key ${key.arn} is disabled.`);
    if (!taken) throw new AwsError('KMSInvalidStateException', `The key ${key.arn} is ${state}.`);
    return key;
  };

  const stateOf = ({ enabled, deletedAt }: Key): KeyState => {
    if (deletedAt !== undefined) return deletedAt > world.now() ? 'PendingDeletion' : 'Deleted';
    return enabled ? 'Enabled' : 'Disabled';
  };

  const dataKey = async (operation: string, input: any, context: CallContext) => {
    const key = await checked(operation, input.KeyId, context, shown(input));
    const length = input.NumberOfBytes ?? (input.KeySpec === 'AES_128' ? 16 : 32);
    const plaintext = randomBytes(length);
    return { plaintext, KeyId: key.arn, CiphertextBlob: seal(key, plaintext, input.EncryptionContext) };
  };

  return {
    service: 'kms',
    policyOf: (keyArn) => keys.get(keyArn)?.policy,
    accessOf: (arn) => {
      const key = find(arn.split(':')[3] ?? '', arn);
      if (key === undefined) return undefined;
      const own = [...aliases].filter(([, target]) => target === key.arn).map(([alias]) => alias.split(' ')[1] ?? '');
      return { arn: key.arn, policy: key.policy, conditions: { 'kms:ResourceAliases': own } };
    },
    unusable: (arn) => {
      const key = find(arn.split(':')[3] ?? '', arn);
      const state = key && stateOf(key);
      if (state === undefined || state === 'Enabled') return undefined;
      if (state === 'Disabled') return new AwsError('KMS.DisabledException', `The key ${arn} is disabled.`);
      if (state === 'Deleted') return new AwsError('KMS.NotFoundException', `The key ${arn} does not exist.`);
      return new AwsError('KMS.KMSInvalidStateException', `The key ${arn} is pending deletion.`);
    },
    operations: {
      DescribeKey: async (input, context) => {
        const key = await checked('DescribeKey', input.KeyId, context, input);
        return { KeyMetadata: describe(key, stateOf(key), world.account) };
      },
      DisableKey: async (input, context) => {
        const key = await checked('DisableKey', input.KeyId, context, input);
        key.enabled = false;
        return {};
      },
      EnableKey: async (input, context) => {
        const key = await checked('EnableKey', input.KeyId, context, input);
        key.enabled = true;
        return {};
      },
      ScheduleKeyDeletion: async (input, context) => {
        const key = await checked('ScheduleKeyDeletion', input.KeyId, context, input);
        const days = input.PendingWindowInDays ?? 30;
        if (!(days >= 7 && days <= 30)) throw new AwsError('ValidationException', 'PendingWindowInDays: 7 to 30.');
        key.deletedAt = world.now() + days * 86_400_000;
        const DeletionDate = new Date(key.deletedAt);
        return { KeyId: key.arn, DeletionDate, KeyState: 'PendingDeletion', PendingWindowInDays: days };
      },
      CancelKeyDeletion: async (input, context) => {
        const key = await checked('CancelKeyDeletion', input.KeyId, context, input);
        key.deletedAt = undefined;
        key.enabled = false;
        return { KeyId: key.arn };
      },
      GetKeyPolicy: async (input, context) => {
        const key = await checked('GetKeyPolicy', input.KeyId, context, input);
        return { Policy: JSON.stringify(key.policy), PolicyName: 'default' };
      },
      PutKeyPolicy: async (input, context) => {
        const key = await checked('PutKeyPolicy', input.KeyId, context, input);
        try {
          const policy = JSON.parse(input.Policy);
          readPolicy('KeyPolicy', policy, 'resource');
          key.policy = policy;
        } catch (error) {
          throw new AwsError('MalformedPolicyDocumentException', (error as Error).message);
        }
        return {};
      },
      Encrypt: async (input, context) => {
        const key = await checked('Encrypt', input.KeyId, context, shown(input));
        const plaintext = Buffer.from(input.Plaintext, 'base64');
        if (plaintext.length > 4096) throw new AwsError('ValidationException', 'Plaintext is longer than 4096 bytes.');
        const CiphertextBlob = seal(key, plaintext, input.EncryptionContext);
        return { CiphertextBlob, KeyId: key.arn, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' };
      },
      Decrypt: async (input, context) => {
        const blob = Buffer.from(input.CiphertextBlob, 'base64');
        const sealedBy = readKeyId(blob);
        const key = await checked('Decrypt', sealedBy ?? input.KeyId, context, shown(input));
        if (input.KeyId !== undefined && find(context.region, input.KeyId) !== key)
          throw new AwsError('IncorrectKeyException', 'The ciphertext was encrypted under another key.');
        const Plaintext = open(key, blob, input.EncryptionContext);
        return { Plaintext, KeyId: key.arn, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' };
      },
      GenerateDataKey: async (input, context) => {
        const { plaintext, ...rest } = await dataKey('GenerateDataKey', input, context);
        return { ...rest, Plaintext: plaintext };
      },
      GenerateDataKeyWithoutPlaintext: async (input, context) => {
        const { plaintext: _, ...rest } = await dataKey('GenerateDataKeyWithoutPlaintext', input, context);
        return rest;
      },
      ListKeys: async (input, context) => {
        await authorize(context, { operation: 'ListKeys', resource: '*', input });
        const held = [...keys.values()].filter((key) => key.region === context.region);
        return { Keys: held.map((key) => ({ KeyId: key.id, KeyArn: key.arn })), Truncated: false };
      },
      ListAliases: async (input, context) => {
        await authorize(context, { operation: 'ListAliases', resource: '*', input });
        const held = [...aliases].filter(([alias]) => alias.startsWith(`${context.region} `));
        return {
          Aliases: held.map(([alias, keyArn]) => {
            const AliasName = alias.slice(context.region.length + 1);
            const AliasArn = `arn:aws:kms:${context.region}:${world.account}:${AliasName}`;
            return { AliasName, AliasArn, TargetKeyId: keys.get(keyArn)?.id };
          }),
          Truncated: false,
        };
      },
    },
    resources: {
      'AWS::KMS::Key': (properties, context) => {
        onlyKnown('AWS::KMS::Key', context, properties, KEY_PROPERTIES);
        if ((properties.KeySpec ?? 'SYMMETRIC_DEFAULT') !== 'SYMMETRIC_DEFAULT')
          throw new Error('only symmetric keys are supported');
        if ((properties.Origin ?? 'AWS_KMS') !== 'AWS_KMS')
          throw new Error('only keys of origin AWS_KMS are supported');
        const policy = properties.KeyPolicy ?? keyPolicy(world.account);
        readPolicy('KeyPolicy', policy, 'resource');
        const multiRegion = isTrue(properties.MultiRegion);
        const key = addKey({
          id: multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID(),
          region: context.region,
          material: randomBytes(32),
          description: properties.Description ?? '',
          multiRegion,
          primaryArn: undefined,
          enabled: properties.Enabled === undefined || isTrue(properties.Enabled),
          manager: 'CUSTOMER',
          policy,
        });
        return { ref: key.id, attributes: { Arn: key.arn, KeyId: key.id } };
      },
      'AWS::KMS::ReplicaKey': (properties, context) => {
        const known = ['PrimaryKeyArn', 'KeyPolicy', 'Description', 'Enabled', 'PendingWindowInDays', 'Tags'];
        onlyKnown('AWS::KMS::ReplicaKey', context, properties, known);
        readPolicy('KeyPolicy', properties.KeyPolicy, 'resource');
        const primary = keys.get(properties.PrimaryKeyArn);
        if (!primary?.multiRegion) throw new Error(`${properties.PrimaryKeyArn} is no multi-region key of this cloud`);
        const key = addKey({
          id: primary.id,
          region: context.region,
          material: primary.material,
          description: properties.Description ?? '',
          multiRegion: true,
          primaryArn: primary.arn,
          enabled: properties.Enabled === undefined || isTrue(properties.Enabled),
          manager: 'CUSTOMER',
          policy: properties.KeyPolicy,
        });
        return { ref: key.id, attributes: { Arn: key.arn, KeyId: key.id } };
      },
      'AWS::KMS::Alias': (properties, context) => {
        onlyKnown('AWS::KMS::Alias', context, properties, ['AliasName', 'TargetKeyId']);
        const key = find(context.region, properties.TargetKeyId);
        if (key === undefined) throw new Error(`there is no key ${properties.TargetKeyId} in ${context.region}`);
        const name = `${context.region} ${properties.AliasName}`;
        if (aliases.has(name)) throw new Error(`the alias ${properties.AliasName} exists already`);
        aliases.set(name, key.arn);
        return { ref: properties.AliasName };
      },
    },
  };
}

type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'Deleted';

/** In which states of its key an operation is carried out, where it is not the enabled one alone. */
const STATES: Readonly<Record<string, readonly KeyState[]>> = {
  DescribeKey: ['Enabled', 'Disabled', 'PendingDeletion'],
  DisableKey: ['Enabled', 'Disabled'],
  EnableKey: ['Enabled', 'Disabled'],
  ScheduleKeyDeletion: ['Enabled', 'Disabled'],
  CancelKeyDeletion: ['PendingDeletion'],
  GetKeyPolicy: ['Enabled', 'Disabled', 'PendingDeletion'],
  PutKeyPolicy: ['Enabled', 'Disabled', 'PendingDeletion'],
};

const KEY_PROPERTIES = [
  'KeyPolicy',
  'Description',
  'Enabled',
  // Rotation is invisible to callers: old ciphertexts stay readable.
  'EnableKeyRotation',
  'RotationPeriodInDays',
  'KeySpec',
  'KeyUsage',
  'MultiRegion',
  'Origin',
  'PendingWindowInDays',
  'BypassPolicyLockoutSafetyCheck',
  'Tags',
];

/** What of an input may be recorded: nothing secret. */
const shown = ({ Plaintext: _, ...input }: Record<string, unknown>): Record<string, unknown> => input;

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Ciphertext: length of the key's id (1 byte), the id, IV, tag, data. The id lets Decrypt find its key. */
function seal(key: Key, plaintext: Buffer, encryptionContext: unknown): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.material, iv).setAAD(authenticated(encryptionContext));
  const data = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const id = Buffer.from(key.id);
  return Buffer.concat([Buffer.of(id.length), id, iv, cipher.getAuthTag(), data]);
}

function readKeyId(blob: Buffer): string | undefined {
  const length = blob[0] ?? 0;
  return length > 0 && blob.length > length ? blob.subarray(1, 1 + length).toString('utf8') : undefined;
}

function open(key: Key, blob: Buffer, encryptionContext: unknown): Buffer {
  const rest = blob.subarray(1 + (blob[0] ?? 0));
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.material, rest.subarray(0, IV_BYTES))
      .setAAD(authenticated(encryptionContext))
      .setAuthTag(rest.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    return Buffer.concat([decipher.update(rest.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
  } catch {
    throw new AwsError('InvalidCiphertextException', 'The ciphertext was altered, or its encryption context differs.');
  }
}

/** The order of an encryption context's pairs does not matter. */
function authenticated(encryptionContext: unknown): Buffer {
  const pairs = Object.entries((encryptionContext ?? {}) as Record<string, string>).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return createHash('sha256').update(JSON.stringify(pairs)).digest();
}

const describe = (key: Key, state: KeyState, account: string): Record<string, unknown> => ({
  AWSAccountId: account,
  KeyId: key.id,
  Arn: key.arn,
  CreationDate: key.createdAt,
  Enabled: state === 'Enabled',
  Description: key.description,
  KeyUsage: 'ENCRYPT_DECRYPT',
  KeyState: state,
  ...(key.deletedAt !== undefined && { DeletionDate: new Date(key.deletedAt) }),
  Origin: 'AWS_KMS',
  KeyManager: key.manager,
  KeySpec: 'SYMMETRIC_DEFAULT',
  EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
  MultiRegion: key.multiRegion,
  ...(key.multiRegion && {
    MultiRegionConfiguration: {
      MultiRegionKeyType: key.primaryArn === undefined ? 'PRIMARY' : 'REPLICA',
      PrimaryKey: { Arn: key.primaryArn ?? key.arn, Region: (key.primaryArn ?? key.arn).split(':')[3] },
    },
  }),
});
