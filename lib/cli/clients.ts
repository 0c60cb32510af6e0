import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { ECSClient } from '@aws-sdk/client-ecs';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';

/** The AWS clients of the command line, for one region. */
export interface Clients {
  readonly region: string;
  readonly sfn: SFNClient;
  readonly ssm: SSMClient;
  readonly s3: S3Client;
  readonly cloudwatch: CloudWatchClient;
  readonly secrets: SecretsManagerClient;
  readonly ecs: ECSClient;
  readonly logs: CloudWatchLogsClient;
  close(): void;
}

/** `config` adds an endpoint and credentials where they do not come from the environment. */
export function createClients(settings: ClientSettings): Clients {
  // A region that is out may answer nothing at all: a command says so after seconds instead of waiting with it.
  const requestHandler = { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true };
  const config = { ...settings, requestHandler };
  const clients = {
    sfn: new SFNClient(config),
    ssm: new SSMClient(config),
    s3: new S3Client(config),
    cloudwatch: new CloudWatchClient(config),
    secrets: new SecretsManagerClient(config),
    ecs: new ECSClient(config),
    logs: new CloudWatchLogsClient(config),
  };
  return {
    region: settings.region,
    ...clients,
    close: () => {
      for (const client of Object.values(clients)) client.destroy();
    },
  };
}

export interface ClientSettings {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  readonly forcePathStyle?: true;
}
