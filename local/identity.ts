import { randomBytes } from 'node:crypto';
import type { Credentials, Principal } from './facade.ts';

/**
 * Who may call: access keys and the principals behind them. The secret key of a request is never checked: this
 * server listens on the loopback only, and a caller who knows an unguessable access key was handed it by us.
 */
export interface Identity {
  /** The account's administrator: every request is allowed. */
  readonly administrator: Credentials;
  /** The principal behind an access key; undefined when nobody was given that key, or it has expired. */
  principalOf(accessKeyId: string): Principal | undefined;
  /** Whether this key was good once. */
  isExpired(accessKeyId: string): boolean;
  /** Credentials of a role. The same role and session get the same credentials back. */
  credentialsFor(roleArn: string, sessionName: string, region?: string): Credentials;
  /** The path below the endpoint at which a container gets its role's credentials, as ECS's agent gives them. */
  containerCredentialsPath(roleArn: string, sessionName: string, region?: string): string;
  /** The answer to a GET of such a path; undefined for a path that was not handed out, or when there are none to be had. */
  containerCredentials(path: string): Record<string, string> | undefined;
  /** What holds for container credentials from now on. */
  setTerms(terms: CredentialTerms): void;
}

/** How long the credentials of a container are good for, and whether it gets new ones after that. */
export interface CredentialTerms {
  readonly seconds: number;
  readonly renewed: boolean;
}

export const CONTAINER_CREDENTIALS_PREFIX = '/_container/credentials/';

/** Those of ECS: SDKs ask again shortly before the end. */
const usualTerms: CredentialTerms = { seconds: 6 * 3600, renewed: true };

interface Container {
  readonly roleArn: string;
  readonly principal: Principal;
  held?: { readonly credentials: Credentials; readonly renew: number; readonly expires: number };
}

export function createIdentity(account: string): Identity {
  const principals = new Map<string, Principal>();
  const sessions = new Map<string, Credentials>();
  const containers = new Map<string, Container>();
  /** Milliseconds of this machine's clock, by which SDKs go; keys that are not here last as long as the cloud. */
  const expiries = new Map<string, number>();
  let terms = usualTerms;

  const issue = (principal: Principal): Credentials => {
    const credentials: Credentials = {
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(48).toString('base64'),
    };
    principals.set(credentials.accessKeyId, principal);
    return credentials;
  };

  const isExpired = (accessKeyId: string): boolean =>
    (expiries.get(accessKeyId) ?? Number.POSITIVE_INFINITY) <= Date.now();

  const principalFor = (roleArn: string, sessionName: string, region?: string): Principal => {
    const session = sessionName.replace(/[^\w+=,.@-]/g, '-').slice(0, 64);
    return { arn: assumedRoleArn(roleArn, session), roleArn, ...(region !== undefined && { region }) };
  };

  const credentialsFor = (roleArn: string, sessionName: string, region?: string): Credentials => {
    const principal = principalFor(roleArn, sessionName, region);
    const key = `${roleArn} ${principal.arn} ${region}`;
    const credentials = sessions.get(key) ?? issue(principal);
    sessions.set(key, credentials);
    return credentials;
  };

  /** New ones from half of their time on, as long as there are any. */
  const holdOf = (container: Container): NonNullable<Container['held']> | undefined => {
    const now = Date.now();
    if (container.held && (now < container.held.renew || !terms.renewed)) {
      return now < container.held.expires ? container.held : undefined;
    }
    const credentials = issue(container.principal);
    const lasts = terms.seconds * 1000;
    container.held = { credentials, renew: now + lasts / 2, expires: now + lasts };
    expiries.set(credentials.accessKeyId, container.held.expires);
    return container.held;
  };

  return {
    administrator: issue({ arn: `arn:aws:iam::${account}:root` }),
    principalOf: (accessKeyId) => (isExpired(accessKeyId) ? undefined : principals.get(accessKeyId)),
    isExpired,
    credentialsFor,
    setTerms: (chosen) => {
      terms = chosen;
    },
    containerCredentialsPath: (roleArn, sessionName, region) => {
      const path = CONTAINER_CREDENTIALS_PREFIX + randomBytes(24).toString('base64url');
      containers.set(path, { roleArn, principal: principalFor(roleArn, sessionName, region) });
      return path;
    },
    containerCredentials: (path) => {
      const container = containers.get(path);
      const held = container && holdOf(container);
      if (!container || !held) return undefined;
      return {
        AccessKeyId: held.credentials.accessKeyId,
        SecretAccessKey: held.credentials.secretAccessKey,
        Token: held.credentials.sessionToken,
        Expiration: new Date(held.expires).toISOString(),
        RoleArn: container.roleArn,
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
