import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { AwsError, type CallContext, type Facade, type World } from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { keyUse } from '../runtime/key-use.ts';
import { isTrue, onlyKnown } from '../runtime/properties.ts';

interface SecretVersion {
  readonly id: string;
  readonly string: string | undefined;
  /** Base64, as the wire has it. */
  readonly binary: string | undefined;
  readonly createdAt: Date;
  stages: string[];
}

interface Secret {
  readonly name: string;
  readonly arn: string;
  readonly region: string;
  description: string | undefined;
  readonly kmsKeyId: string | undefined;
  readonly createdAt: Date;
  /** Shared with the secret's replicas in other regions. */
  readonly versions: SecretVersion[];
}

/** Secrets Manager. Values are held in memory only. */
export function createSecretsManager(world: World): Facade {
  const authorize = authorizer(world, 'secretsmanager');
  const secrets = new Map<string, Secret>();

  const add = (region: string, name: string, details: Partial<Secret>, suffix: string): Secret => {
    if (secrets.has(`${region} ${name}`))
      throw new AwsError('ResourceExistsException', `The secret ${name} already exists.`);
    const secret: Secret = {
      name,
      arn: `arn:aws:secretsmanager:${region}:${world.account}:secret:${name}-${suffix}`,
      region,
      description: details.description,
      kmsKeyId: details.kmsKeyId,
      createdAt: new Date(world.now()),
      versions: details.versions ?? [],
    };
    secrets.set(`${region} ${name}`, secret);
    return secret;
  };

  /** By name, ARN, or ARN without its suffix. */
  const find = (region: string, id: string): Secret | undefined => {
    if (!id.startsWith('arn:')) return secrets.get(`${region} ${id}`);
    return [...secrets.values()].find(
      (secret) => secret.region === region && (secret.arn === id || secret.arn.slice(0, -7) === id),
    );
  };

  /** AWS's own key, where a secret names none, is open to whoever may use Secrets Manager. */
  const keyOf = (region: string, key: string | undefined, arn: string, ...operations: string[]) =>
    key === undefined
      ? []
      : keyUse(world, { service: 'secretsmanager', region, key, encryptionContext: { SecretARN: arn } }, ...operations);

  const checked = async (operation: string, input: any, context: CallContext): Promise<Secret> => {
    const secret = find(context.region, input.SecretId);
    const { SecretString: _string, SecretBinary: _binary, ...shown } = input;
    const named = `arn:aws:secretsmanager:${context.region}:${world.account}:secret:${input.SecretId}`;
    const resource = secret?.arn ?? (input.SecretId.startsWith('arn:') ? input.SecretId : named);
    const conditions = {
      'secretsmanager:SecretId': String(input.SecretId),
      ...(input.VersionId && { 'secretsmanager:VersionId': String(input.VersionId) }),
      ...(input.VersionStage && { 'secretsmanager:VersionStage': String(input.VersionStage) }),
    };
    const writes = input.SecretString !== undefined || input.SecretBinary !== undefined;
    const uses = operation === 'GetSecretValue' ? ['Decrypt'] : writes ? ['GenerateDataKey', 'Decrypt'] : [];
    const also = keyOf(context.region, secret?.kmsKeyId, resource, ...uses);
    await authorize(context, { operation, resource, input: shown, conditions, also });
    if (secret === undefined)
      throw new AwsError('ResourceNotFoundException', `Secrets Manager can't find the specified secret.`);
    return secret;
  };

  const putVersion = (secret: Secret, input: any): SecretVersion => {
    if ((input.SecretString === undefined) === (input.SecretBinary === undefined))
      throw new AwsError('InvalidParameterException', 'Give either SecretString or SecretBinary.');
    const stages: string[] = input.VersionStages ?? ['AWSCURRENT'];
    const id = input.ClientRequestToken ?? randomUUID();
    const same = secret.versions.find((version) => version.id === id);
    if (same) {
      if (same.string === input.SecretString && same.binary === input.SecretBinary) return same;
      throw new AwsError('ResourceExistsException', `The version ${id} exists with other content.`);
    }
    const current = secret.versions.find((version) => version.stages.includes('AWSCURRENT'));
    const taken = stages.includes('AWSCURRENT') ? [...stages, 'AWSPREVIOUS'] : stages;
    for (const version of secret.versions) version.stages = version.stages.filter((stage) => !taken.includes(stage));
    if (current && stages.includes('AWSCURRENT')) current.stages.push('AWSPREVIOUS');
    const version: SecretVersion = {
      id,
      string: input.SecretString,
      binary: input.SecretBinary,
      createdAt: new Date(world.now()),
      stages: [...stages],
    };
    secret.versions.push(version);
    return version;
  };

  return {
    service: 'secretsmanager',
    operations: {
      CreateSecret: async (input, context) => {
        const resource = `arn:aws:secretsmanager:${context.region}:${world.account}:secret:${input.Name}-??????`;
        const { SecretString: _string, SecretBinary: _binary, ...shown } = input;
        const also = keyOf(context.region, input.KmsKeyId, resource, 'GenerateDataKey', 'Decrypt');
        await authorize(context, { operation: 'CreateSecret', resource, input: shown, also });
        const details = { description: input.Description, kmsKeyId: input.KmsKeyId };
        const secret = add(context.region, input.Name, details, suffix());
        const hasValue = input.SecretString !== undefined || input.SecretBinary !== undefined;
        const version = hasValue ? putVersion(secret, input) : undefined;
        for (const { Region } of input.AddReplicaRegions ?? []) add(Region, input.Name, secret, secret.arn.slice(-6));
        return { ARN: secret.arn, Name: secret.name, VersionId: version?.id };
      },
      GetSecretValue: async (input, context) => {
        const secret = await checked('GetSecretValue', input, context);
        const stage = input.VersionStage ?? (input.VersionId === undefined ? 'AWSCURRENT' : undefined);
        const version = secret.versions.find(
          ({ id, stages }) =>
            (input.VersionId === undefined || id === input.VersionId) && (!stage || stages.includes(stage)),
        );
        if (version === undefined)
          throw new AwsError(
            'ResourceNotFoundException',
            `Secrets Manager can't find the specified secret value for ${stage ? `staging label: ${stage}` : `VersionId: ${input.VersionId}`}`,
          );
        return {
          ARN: secret.arn,
          Name: secret.name,
          VersionId: version.id,
          SecretString: version.string,
          SecretBinary: version.binary,
          VersionStages: version.stages,
          CreatedDate: version.createdAt,
        };
      },
      DescribeSecret: async (input, context) => describe(await checked('DescribeSecret', input, context), true),
      PutSecretValue: async (input, context) => {
        const secret = await checked('PutSecretValue', input, context);
        const version = putVersion(secret, input);
        return { ARN: secret.arn, Name: secret.name, VersionId: version.id, VersionStages: version.stages };
      },
      UpdateSecret: async (input, context) => {
        const secret = await checked('UpdateSecret', input, context);
        if (input.Description !== undefined) secret.description = input.Description;
        const changesValue = input.SecretString !== undefined || input.SecretBinary !== undefined;
        const version = changesValue ? putVersion(secret, input) : undefined;
        return { ARN: secret.arn, Name: secret.name, VersionId: version?.id };
      },
      DeleteSecret: async (input, context) => {
        // At once, whatever the recovery window: nothing here could bring a secret back.
        const secret = await checked('DeleteSecret', input, context);
        secrets.delete(`${context.region} ${secret.name}`);
        return { ARN: secret.arn, Name: secret.name, DeletionDate: new Date(world.now()) };
      },
      ListSecrets: async (input, context) => {
        await authorize(context, { operation: 'ListSecrets', resource: '*', input });
        const held = [...secrets.values()].filter((secret) => secret.region === context.region);
        const { items, next } = page(held, input.NextToken, input.MaxResults ?? 100);
        return { SecretList: items.map((secret) => describe(secret, false)), NextToken: next };
      },
    },
    resources: {
      'AWS::SecretsManager::Secret': (properties, context) => {
        onlyKnown('AWS::SecretsManager::Secret', context, properties, SECRET_PROPERTIES);
        const name: string = properties.Name ?? context.generatedName;
        const details = { description: properties.Description, kmsKeyId: properties.KmsKeyId };
        const secret = add(context.region, name, details, suffix());
        const { SecretString, GenerateSecretString } = properties;
        if (SecretString !== undefined && GenerateSecretString !== undefined)
          throw new Error('SecretString and GenerateSecretString exclude each other');
        // Neither given: CloudFormation generates a password all the same.
        putVersion(secret, { SecretString: SecretString ?? generate(GenerateSecretString ?? {}) });
        for (const { Region } of properties.ReplicaRegions ?? []) add(Region, name, secret, secret.arn.slice(-6));
        return { ref: secret.arn, attributes: { Id: secret.arn } };
      },
    },
  };
}

const SECRET_PROPERTIES = [
  'Name',
  'Description',
  'SecretString',
  'GenerateSecretString',
  'KmsKeyId',
  'ReplicaRegions',
  'Tags',
];

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The six characters that Secrets Manager puts at the end of an ARN. */
const suffix = (): string => {
  const characters = `${LETTERS}0123456789`;
  return [...randomBytes(6)].map((byte) => characters[byte % characters.length]).join('');
};

/** A password by CloudFormation's `GenerateSecretString`, put into `SecretStringTemplate` when there is one. */
function generate(options: any): string {
  const sets = [
    isTrue(options.ExcludeUppercase) ? '' : LETTERS.slice(0, 26),
    isTrue(options.ExcludeLowercase) ? '' : LETTERS.slice(26),
    isTrue(options.ExcludeNumbers) ? '' : '0123456789',
    isTrue(options.ExcludePunctuation) ? '' : '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
    isTrue(options.IncludeSpace) ? ' ' : '',
  ];
  const excluded = new Set(options.ExcludeCharacters ?? '');
  const allowed = [...sets.join('')].filter((character) => !excluded.has(character));
  if (allowed.length === 0) throw new Error('GenerateSecretString leaves no characters to choose from');
  const length = Number(options.PasswordLength ?? 32);
  const password = Array.from({ length }, () => allowed[randomInt(allowed.length)]).join('');
  if (options.SecretStringTemplate === undefined) return password;
  return JSON.stringify({ ...JSON.parse(options.SecretStringTemplate), [options.GenerateStringKey]: password });
}

const describe = (secret: Secret, withVersions: boolean): Record<string, unknown> => ({
  ARN: secret.arn,
  Name: secret.name,
  Description: secret.description,
  KmsKeyId: secret.kmsKeyId,
  CreatedDate: secret.createdAt,
  LastChangedDate: secret.versions.at(-1)?.createdAt ?? secret.createdAt,
  [withVersions ? 'VersionIdsToStages' : 'SecretVersionsToStages']: Object.fromEntries(
    secret.versions.filter(({ stages }) => stages.length > 0).map(({ id, stages }) => [id, stages]),
  ),
});
