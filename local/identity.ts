import { randomBytes } from 'node:crypto';
import type { Credentials, Principal } from './facade.ts';

/**
 * Who may call: access keys and the principals behind them. The secret key of a request is never checked: this
 * server listens on the loopback only, and a caller who knows an unguessable access key was handed it by us.
 */
export interface Identity {
  /** The account's administrator: every request is allowed. */
  readonly administrator: Credentials;
  /** The principal behind an access key; undefined when nobody was given that key. */
  principalOf(accessKeyId: string): Principal | undefined;
  /** Credentials of a role. The same role and session get the same credentials back. */
  credentialsFor(roleArn: string, sessionName: string, region?: string): Credentials;
  /** The path below the endpoint at which a container gets its role's credentials, as ECS's agent gives them. */
  containerCredentialsPath(roleArn: string, sessionName: string, region?: string): string;
  /** The answer to a GET of such a path; undefined for a path that was not handed out. */
  containerCredentials(path: string): Record<string, string> | undefined;
}

export const CONTAINER_CREDENTIALS_PREFIX = '/_container/credentials/';

/** How long handed-out container credentials say they are good for: SDKs ask again shortly before. */
const CONTAINER_CREDENTIALS_MS = 6 * 3_600_000;

export function createIdentity(account: string): Identity {
  const principals = new Map<string, Principal>();
  const sessions = new Map<string, Credentials>();
  const containers = new Map<string, { roleArn: string; credentials: Credentials }>();

  const issue = (principal: Principal): Credentials => {
    const credentials: Credentials = {
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(48).toString('base64'),
    };
    principals.set(credentials.accessKeyId, principal);
    return credentials;
  };

  const credentialsFor = (roleArn: string, sessionName: string, region?: string): Credentials => {
    const session = sessionName.replace(/[^\w+=,.@-]/g, '-').slice(0, 64);
    const key = `${roleArn} ${session} ${region}`;
    let credentials = sessions.get(key);
    if (credentials === undefined) {
      credentials = issue({ arn: assumedRoleArn(roleArn, session), roleArn, ...(region !== undefined && { region }) });
      sessions.set(key, credentials);
    }
    return credentials;
  };

  return {
    administrator: issue({ arn: `arn:aws:iam::${account}:root` }),
    principalOf: (accessKeyId) => principals.get(accessKeyId),
    credentialsFor,
    containerCredentialsPath: (roleArn, sessionName, region) => {
      const path = CONTAINER_CREDENTIALS_PREFIX + randomBytes(24).toString('base64url');
      containers.set(path, { roleArn, credentials: credentialsFor(roleArn, sessionName, region) });
      return path;
    },
    containerCredentials: (path) => {
      const held = containers.get(path);
      if (held === undefined) return undefined;
      return {
        AccessKeyId: held.credentials.accessKeyId,
        SecretAccessKey: held.credentials.secretAccessKey,
        Token: held.credentials.sessionToken,
        Expiration: new Date(Date.now() + CONTAINER_CREDENTIALS_MS).toISOString(),
        RoleArn: held.roleArn,
      };
    },
  };
}

/** `arn:aws:iam::<account>:role/<path/><name>` → `arn:aws:sts::<account>:assumed-role/<name>/<session>`. */
export function assumedRoleArn(roleArn: string, sessionName: string): string {
  const [, account, name] = /^arn:[\w-]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(roleArn) ?? [];
  if (account === undefined) throw new Error(`Not the ARN of a role: ${JSON.stringify(roleArn)}.`);
  return `arn:aws:sts::${account}:assumed-role/${name}/${sessionName}`;
}
