import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type DnsServer, startDns } from '../dns.ts';
import { AwsError, type CallContext, type Facade, type World } from '../facade.ts';
import { encodeQueryError } from '../query.ts';
import { authorizer } from '../runtime/api.ts';
import { readBody } from '../runtime/rest.ts';
import { createHealthChecks } from '../runtime/route53/health.ts';
import { type Change, readRecordSet } from '../runtime/route53/records.ts';
import { type Answer, resolve } from '../runtime/route53/resolve.ts';
import { route53Resources } from '../runtime/route53/resources.ts';
import {
  changeInfo,
  delegationOrVpcs,
  healthCheck,
  hostedZone,
  plainConfig,
  plainRecordSet,
  recordSet,
  vpc,
} from '../runtime/route53/shapes.ts';
import { createZones } from '../runtime/route53/zones.ts';
import { fromXml, listOf, toXml, type Xml } from '../runtime/xml.ts';
import type { CloudWatchFacade } from './cloudwatch.ts';

export interface Route53Options {
  readonly cloudwatch: CloudWatchFacade;
  /** Port of the name server. @default 0: one that is free */
  readonly dnsPort?: number;
}

export interface Route53Facade extends Facade {
  /** Where names are answered, over UDP and TCP. The server starts with the first zone, or when asked for. */
  nameServer(): Promise<Pick<DnsServer, 'address' | 'port'>>;
  /** What the name server would answer now. */
  resolve(name: string, type: string): Answer;
}

interface Call {
  readonly url: URL;
  readonly body: string;
  /** From the path. */
  readonly id: string;
}

/** What an operation answers: the root element's children, and the status and Location of a creation. */
interface Result {
  readonly content: Xml;
  readonly status?: number;
  readonly location?: string;
}

interface Route {
  readonly operation: string;
  readonly method: string;
  readonly path: RegExp;
  /** What it acts on: the kind of ARN, or everything. */
  readonly on: 'hostedzone' | 'healthcheck' | 'change' | '*';
  /** What is recorded of the call, from its body. */
  readonly input?: (call: Call) => Record<string, unknown>;
  readonly carryOut: (call: Call) => Result;
}

const NAMESPACE = 'https://route53.amazonaws.com/doc/2013-04-01/';
const MAX_BODY = 1024 * 1024;

/**
 * Route 53: hosted zones with simple and failover records, health checks on alarms' data, and a name server on the
 * loopback that answers for them. The control plane is us-east-1's: an outage there stops it, and never the answers.
 */
export function createRoute53(world: World, options: Route53Options): Route53Facade {
  const zones = createZones(world);
  const checks = createHealthChecks(world, options.cloudwatch);
  const authorize = authorizer(world, 'route53');
  let server: Promise<DnsServer> | undefined;

  const answer = (name: string, type: string): Answer => {
    const served = zones.all().map(({ name: zone, served: records }) => ({ name: zone, records }));
    return resolve(served, name, type, (id) => checks.has(id) && checks.isHealthy(id));
  };
  const nameServer = (): Promise<DnsServer> => {
    server ??= startDns({ port: options.dnsPort, resolve: answer, note: world.note });
    return server;
  };

  /** One page of a list whose markers are ids. */
  const paged = <T extends { readonly id: string }>(all: readonly T[], { url }: Call) => {
    const limit = Number(url.searchParams.get('maxitems') ?? 100);
    const marker = url.searchParams.get('marker');
    const start = marker
      ? Math.max(
          all.findIndex(({ id }) => id === marker),
          0,
        )
      : 0;
    const next = all[start + limit];
    const tail = {
      Marker: marker ?? undefined,
      IsTruncated: next !== undefined,
      NextMarker: next?.id,
      MaxItems: limit,
    };
    return { items: all.slice(start, start + limit), tail };
  };

  const readChanges = ({ body, id }: Call): { changes: Change[]; comment?: string } => {
    const zone = zones.find(id);
    const { ChangeBatch: batch } = fromXml(body, 'ChangeResourceRecordSetsRequest');
    const given = listOf(batch?.Changes, 'Change');
    if (given.length === 0) throw new AwsError('InvalidInput', 'A ChangeBatch has at least one Change.');
    const changes = given.map(({ Action: action, ResourceRecordSet: record }): Change => {
      if (!['CREATE', 'DELETE', 'UPSERT'].includes(action)) throw new AwsError('InvalidInput', `No action ${action}.`);
      return { action, record: readRecordSet(plainRecordSet(record), zone) };
    });
    for (const { action, record } of changes)
      if (action !== 'DELETE' && record.healthCheckId !== undefined) checks.find(record.healthCheckId);
    return { changes, comment: batch.Comment };
  };

  const routes: readonly Route[] = [
    {
      operation: 'CreateHostedZone',
      method: 'POST',
      path: /^hostedzone$/,
      on: '*',
      carryOut: ({ body }) => {
        const given = fromXml(body, 'CreateHostedZoneRequest');
        const zone = zones.create({
          name: String(given.Name),
          callerReference: String(given.CallerReference),
          comment: given.HostedZoneConfig?.Comment,
          vpcs: given.VPC ? [given.VPC] : [],
        });
        const change = zones.change(zone, []);
        const [first] = zone.vpcs;
        return {
          content: {
            HostedZone: hostedZone(zone),
            ChangeInfo: changeInfo(change),
            ...(first ? { VPC: vpc(first) } : delegationOrVpcs(zone)),
          },
          status: 201,
          location: `/2013-04-01/hostedzone/${zone.id}`,
        };
      },
    },
    {
      operation: 'ListHostedZones',
      method: 'GET',
      path: /^hostedzone$/,
      on: '*',
      carryOut: (call) => {
        const { items, tail } = paged(zones.all(), call);
        return { content: { HostedZones: { HostedZone: items.map(hostedZone) }, ...tail } };
      },
    },
    {
      operation: 'ListHostedZonesByName',
      method: 'GET',
      path: /^hostedzonesbyname$/,
      on: '*',
      carryOut: ({ url }) => {
        const from = url.searchParams.get('dnsname');
        // Names are ordered from their last label on.
        const key = (name: string) => name.split('.').reverse().join('.');
        const found = zones
          .all()
          .filter(({ name }) => !from || key(name) >= key(`${from.replace(/\.$/, '')}.`))
          .toSorted((a, b) => (key(a.name) < key(b.name) ? -1 : 1));
        const limit = Number(url.searchParams.get('maxitems') ?? 100);
        const next = found[limit];
        const more = { IsTruncated: next !== undefined, NextDNSName: next?.name, NextHostedZoneId: next?.id };
        const items = found.slice(0, limit).map(hostedZone);
        return {
          content: { HostedZones: { HostedZone: items }, DNSName: from ?? undefined, ...more, MaxItems: limit },
        };
      },
    },
    {
      operation: 'GetHostedZone',
      method: 'GET',
      path: /^hostedzone\/([^/]+)$/,
      on: 'hostedzone',
      carryOut: ({ id }) => {
        const zone = zones.find(id);
        return { content: { HostedZone: hostedZone(zone), ...delegationOrVpcs(zone) } };
      },
    },
    {
      operation: 'DeleteHostedZone',
      method: 'DELETE',
      path: /^hostedzone\/([^/]+)$/,
      on: 'hostedzone',
      carryOut: ({ id }) => ({ content: { ChangeInfo: changeInfo(zones.remove(id)) } }),
    },
    {
      operation: 'AssociateVPCWithHostedZone',
      method: 'POST',
      path: /^hostedzone\/([^/]+)\/associatevpc$/,
      on: 'hostedzone',
      carryOut: ({ id, body }) => {
        const zone = zones.find(id);
        if (zone.vpcs.length === 0)
          throw new AwsError('PublicZoneVPCAssociation', 'A public zone cannot be associated with a VPC.');
        zone.vpcs.push(fromXml(body, 'AssociateVPCWithHostedZoneRequest').VPC);
        return { content: { ChangeInfo: changeInfo(zones.change(zone, [])) } };
      },
    },
    {
      operation: 'ChangeResourceRecordSets',
      method: 'POST',
      path: /^hostedzone\/([^/]+)\/rrset\/?$/,
      on: 'hostedzone',
      carryOut: (call) => {
        const { changes, comment } = readChanges(call);
        return { content: { ChangeInfo: changeInfo(zones.change(zones.find(call.id), changes, comment)) } };
      },
    },
    {
      operation: 'ListResourceRecordSets',
      method: 'GET',
      path: /^hostedzone\/([^/]+)\/rrset\/?$/,
      on: 'hostedzone',
      carryOut: ({ id, url }) => {
        const key = (name: string, type = '', identifier = '') =>
          [name.replace(/\.$/, '').split('.').reverse().join('.'), type, identifier].join('\0');
        const sorted = zones
          .find(id)
          .records.map((record) => ({ record, key: key(record.name, record.type, record.setIdentifier) }))
          .toSorted((a, b) => (a.key < b.key ? -1 : 1));
        const asked = (name: string) => url.searchParams.get(name) ?? undefined;
        const from = asked('name');
        const start = from === undefined ? '' : key(from.toLowerCase(), asked('type'), asked('identifier'));
        const found = sorted.filter((one) => one.key >= start).map(({ record }) => record);
        const limit = Math.min(Number(asked('maxitems') ?? 300), 300);
        const next = found[limit];
        return {
          content: {
            ResourceRecordSets: { ResourceRecordSet: found.slice(0, limit).map(recordSet) },
            IsTruncated: next !== undefined,
            NextRecordName: next?.name,
            NextRecordType: next?.type,
            NextRecordIdentifier: next?.setIdentifier,
            MaxItems: limit,
          },
        };
      },
    },
    {
      operation: 'GetChange',
      method: 'GET',
      path: /^change\/([^/]+)$/,
      on: 'change',
      carryOut: ({ id }) => ({ content: { ChangeInfo: changeInfo(zones.findChange(id)) } }),
    },
    {
      operation: 'CreateHealthCheck',
      method: 'POST',
      path: /^healthcheck$/,
      on: '*',
      carryOut: ({ body }) => {
        const given = fromXml(body, 'CreateHealthCheckRequest');
        const made = checks.create(String(given.CallerReference), plainConfig(given.HealthCheckConfig ?? {}));
        const location = `/2013-04-01/healthcheck/${made.id}`;
        return { content: { HealthCheck: healthCheck(made) }, status: 201, location };
      },
    },
    {
      operation: 'ListHealthChecks',
      method: 'GET',
      path: /^healthcheck$/,
      on: '*',
      carryOut: (call) => {
        const { items, tail } = paged(checks.all(), call);
        return { content: { HealthChecks: { HealthCheck: items.map(healthCheck) }, ...tail } };
      },
    },
    {
      operation: 'GetHealthCheck',
      method: 'GET',
      path: /^healthcheck\/([^/]+)$/,
      on: 'healthcheck',
      carryOut: ({ id }) => ({ content: { HealthCheck: healthCheck(checks.find(id)) } }),
    },
    {
      operation: 'UpdateHealthCheck',
      method: 'POST',
      path: /^healthcheck\/([^/]+)$/,
      on: 'healthcheck',
      carryOut: ({ id, body }) => {
        const changed = checks.update(id, plainConfig(fromXml(body, 'UpdateHealthCheckRequest')));
        return { content: { HealthCheck: healthCheck(changed) } };
      },
    },
    {
      operation: 'DeleteHealthCheck',
      method: 'DELETE',
      path: /^healthcheck\/([^/]+)$/,
      on: 'healthcheck',
      carryOut: ({ id }) => {
        checks.remove(id);
        return { content: {} };
      },
    },
    {
      operation: 'GetHealthCheckStatus',
      method: 'GET',
      path: /^healthcheck\/([^/]+)\/status$/,
      on: 'healthcheck',
      carryOut: ({ id }) => {
        const StatusReport = { Status: checks.report(id), CheckedTime: new Date(world.now()) };
        const observation = { Region: 'us-east-1', IPAddress: '127.0.0.1', StatusReport };
        return { content: { HealthCheckObservations: { HealthCheckObservation: [observation] } } };
      },
    },
  ];

  const carryOut = async (request: IncomingMessage, context: CallContext): Promise<Result & { operation: string }> => {
    const url = new URL(request.url ?? '/', 'http://cloud');
    const path = decodeURIComponent(url.pathname).replace(/^\/2013-04-01\//, '');
    const route = routes.find(({ method, path: pattern }) => method === request.method && pattern.test(path));
    const body = (await readBody(request, MAX_BODY, route?.operation ?? 'Route53')).toString();
    if (!route)
      throw new AwsError('UnknownOperationException', `route53 has no ${request.method} ${path} in this cloud.`, 404);
    const id = route.path.exec(path)?.[1] ?? '';
    const resource = route.on === '*' ? '*' : `arn:aws:route53:::${route.on}/${id}`;
    const { operation } = route;
    await authorize(context, { operation, resource, input: { ...(id && { Id: id }) } });
    return { operation, ...route.carryOut({ url, body, id }) };
  };

  const http = async (request: IncomingMessage, response: ServerResponse, context: CallContext): Promise<void> => {
    let status: number;
    let body: string;
    try {
      const result = await carryOut(request, context);
      status = result.status ?? 200;
      body = toXml(`${result.operation}Response`, NAMESPACE, result.content);
      if (result.location) response.setHeader('location', world.endpoint + result.location);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      status = error.status;
      body = encodeQueryError(error, NAMESPACE, context.requestId || randomUUID());
    }
    response.writeHead(status, { 'content-type': 'text/xml', 'content-length': Buffer.byteLength(body) }).end(body);
  };

  const zoneId = ({ region, generatedName }: { region: string; generatedName: string }): string =>
    `Z${createHash('sha256').update(`${region} ${generatedName}`).digest('hex').slice(0, 20).toUpperCase()}`;

  return {
    service: 'route53',
    http,
    resources: route53Resources(zones, checks, zoneId, nameServer),
    nameServer,
    resolve: (name, type) => answer(`${name.toLowerCase().replace(/\.$/, '')}.`, type),
    close: async () => {
      await (await server)?.close();
    },
  };
}
