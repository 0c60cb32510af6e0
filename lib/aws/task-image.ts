import { DescribeTaskDefinitionCommand, ECSClient } from '@aws-sdk/client-ecs';

/** RFC 3339: when the image that tasks of this family run on was deployed. A new image is a new revision. */
export async function readTaskImageAge(family: string): Promise<string | undefined> {
  const client = new ECSClient({ maxAttempts: 5 });
  try {
    const { taskDefinition } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: family }));
    return taskDefinition?.registeredAt?.toISOString();
  } finally {
    client.destroy();
  }
}
