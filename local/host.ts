import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Accounts } from './accounts.ts';
import { type ClockOptions, createCloudClock } from './clock.ts';
import type { ApiCall, Facade, Interceptor, World } from './facade.ts';
import { createHttpServer } from './http.ts';
import type { Authority } from './iam/authority.ts';
import { accessDenied } from './iam/denial.ts';
import { createIdentity, type Identity } from './identity.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createOutages } from './outages.ts';

export interface HostOptions {
  readonly directory: string;
  readonly regions: readonly string[];
  /** @default '111122223333' */
  readonly account?: string;
  /** Other accounts, whose principals may call here too. @default none */
  readonly accounts?: Accounts;
  /** 0 takes a free one. @default 0 */
  readonly port?: number;
  readonly verbose?: (line: string) => void;
  /** @default the machine's clock */
  readonly clock?: ClockOptions;
  /** Where lines for CloudWatch Logs go. @default they are dropped */
  readonly log?: World['log'];
}

/** What facades live in: a server that listens, who may call it, and the record of what was called. */
export interface Host {
  readonly world: World;
  readonly identity: Identity;
  readonly ledger: Ledger;
  /** Adds a facade; from now on requests of its service reach it. */
  add<F extends Facade>(facade: F): F;
  readonly facades: readonly Facade[];
  /** From now on policies are asked at every call. Without it every caller is allowed everything. */
  enforce(authority: Authority): void;
  intercept(interceptor: Interceptor): () => void;
  environment(region: string): Record<string, string>;
  client(region: string): ClientConfig;
  /** Closes the facades in the reverse order of their adding, then the server. */
  close(): Promise<void>;
}

export interface ClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  /** Harmless to clients other than S3's. */
  readonly forcePathStyle: true;
}

/** Starts an empty cloud: a server on 127.0.0.1 to which facades can be added. */
export async function startHost(options: HostOptions): Promise<Host> {
  const account = options.account ?? '111122223333';
  const identity = createIdentity(account);
  const ledger = createLedger();
  const clock = createCloudClock(options.clock);
  const outages = createOutages();
  const interceptors = new Set<Interceptor>();
  const facades = new Map<string, Facade>();
  let authority: Authority | undefined;
  const note = (message: string): void => options.verbose?.(message);

  mkdirSync(options.directory, { recursive: true });
  const callers: Identity = {
    ...identity,
    principalOf: (key) =>
      [identity, ...(options.accounts?.others(account) ?? []).map((other) => other.identity)]
        .map((each) => each.principalOf(key))
        .find((principal) => principal !== undefined),
  };
  const server = createHttpServer({ identity: callers, facades, outages, note });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const world: World = {
    account,
    regions: options.regions,
    endpoint,
    directory: options.directory,
    now: clock.now,
    clock,
    outages,
    credentialsFor: identity.credentialsFor,
    authorize: async (call: ApiCall) => {
      ledger.enter(call);
      for (const permission of call.needs ?? [call]) {
        const refused = world.refusal(call, permission);
        if (refused) throw refused;
      }
      for (const interceptor of interceptors) await interceptor(call);
    },
    refusal: (caller, asked) => {
      const decision = authority?.decide(caller, asked);
      const permission = { ...asked, resource: decision?.resource ?? asked.resource };
      ledger.ask(caller.principal, permission, decision);
      if (decision === undefined || decision.allowed) {
        // A service answers for its own resources itself.
        const owner = asked.action.split(':')[0] as string;
        return owner === caller.service ? undefined : facades.get(owner)?.unusable?.(permission.resource);
      }
      return accessDenied(caller.service, caller.principal, permission, decision.reason);
    },
    assertTrusted: (roleArn, by) => {
      const decision = authority?.decideTrust(roleArn, by);
      if (decision === undefined || decision.allowed) return;
      const permission = { action: 'sts:AssumeRole', resource: roleArn };
      throw accessDenied('sts', { arn: by.service, service: by.service }, permission, decision.reason);
    },
    log: options.log ?? (() => {}),
    note,
  };

  return {
    world,
    identity,
    ledger,
    add: (facade) => {
      if (facades.has(facade.service)) throw new Error(`Two facades for the service ${facade.service}.`);
      facades.set(facade.service, facade);
      return facade;
    },
    get facades() {
      return [...facades.values()];
    },
    enforce: (chosen) => {
      authority = chosen;
    },
    intercept: (interceptor) => {
      // Wrapped, so that the same function put in twice is also removed twice.
      const entry: Interceptor = (call) => interceptor(call);
      interceptors.add(entry);
      return () => interceptors.delete(entry);
    },
    environment: (region) => ({
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: identity.administrator.accessKeyId,
      AWS_SECRET_ACCESS_KEY: identity.administrator.secretAccessKey,
      AWS_SESSION_TOKEN: identity.administrator.sessionToken,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
    }),
    client: (region) => ({ endpoint, region, credentials: { ...identity.administrator }, forcePathStyle: true }),
    close: async () => {
      const failures: unknown[] = [];
      clock.stop();
      for (const facade of [...facades.values()].reverse()) {
        await facade.close?.().catch((error: unknown) => failures.push(error));
      }
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      if (failures.length > 0) throw new AggregateError(failures, 'Parts of the local cloud did not stop cleanly.');
    },
  };
}
