import type { World } from '../facade.ts';
import { parseArn } from './api.ts';
import { callJson } from './signed-request.ts';
import type { ContainerDefinition } from './task-definition.ts';

/**
 * The values of a container's `Secrets`, read as ECS's agent does: through the API, as the execution role.
 * `valueFrom` is a secret's ARN, with `:json-key:version-stage:version-id` behind it at will, or the ARN or name of
 * an SSM parameter.
 *
 * @throws Error with ECS's ResourceInitializationError text
 */
export async function readSecrets(
  world: World,
  region: string,
  definition: ContainerDefinition,
  executionRoleArn: string | undefined,
  taskId: string,
): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const { name, valueFrom } of definition.secrets) {
    const isSecret = parseArn(valueFrom).service === 'secretsmanager';
    try {
      if (!executionRoleArn) throw new Error('the task definition has no execution role');
      const credentials = world.credentialsFor(executionRoleArn, taskId, region);
      values[name] = isSecret
        ? await readSecret(world, credentials, valueFrom)
        : await readParameter(world, credentials, region, valueFrom);
    } catch (error) {
      throw new Error(
        'ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ' +
          `unable to retrieve secret from ${isSecret ? 'asm' : 'ssm'}: ${name} (${valueFrom}): ${(error as Error).name}: ${(error as Error).message}`,
      );
    }
  }
  return values;
}

type Keys = ReturnType<World['credentialsFor']>;

async function readSecret(world: World, credentials: Keys, valueFrom: string): Promise<string> {
  const parts = valueFrom.split(':');
  const [jsonKey, versionStage, versionId] = parts.slice(7);
  const answer = await callJson(world, credentials, {
    service: 'secretsmanager',
    region: parseArn(valueFrom).region,
    target: 'secretsmanager.GetSecretValue',
    version: '1.1',
    input: {
      SecretId: parts.slice(0, 7).join(':'),
      ...(versionStage && { VersionStage: versionStage }),
      ...(versionId && { VersionId: versionId }),
    },
  });
  if (!jsonKey) return String(answer.SecretString);
  const value = JSON.parse(String(answer.SecretString))[jsonKey];
  if (value === undefined) throw new Error(`retrieved secret did not contain json key ${jsonKey}`);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function readParameter(world: World, credentials: Keys, region: string, valueFrom: string): Promise<string> {
  const isArn = valueFrom.startsWith('arn:');
  const name = isArn ? parseArn(valueFrom).resource.replace(/^parameter/, '') : valueFrom;
  const answer = await callJson(world, credentials, {
    service: 'ssm',
    region: isArn ? parseArn(valueFrom).region : region,
    target: 'AmazonSSM.GetParameter',
    version: '1.1',
    // The ARN of `/a/b` and that of `b` differ by no slash: only a name with further slashes keeps its first.
    input: { Name: name.lastIndexOf('/') > 0 ? name : name.replace(/^\//, ''), WithDecryption: true },
  });
  return String(answer.Parameter.Value);
}
