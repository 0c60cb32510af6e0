import { z } from 'zod';
import { type DurationText, parseDuration } from './duration.ts';
import { boolean, duration, field, integer, matching, object, oneOf, schedule, show } from './fields.ts';
import { secretName } from './names-schema.ts';

/** The keys of a database that fails over: `standby`, `endpoint`, `failover`. */

const resourceName = (what: string, example: string) => matching(/^[A-Za-z0-9_-]{1,100}$/, what, example);
const hostName = matching(
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)+$/,
  'a host name in lower case with its domain',
  'orders-1.db.internal',
);
const region = matching(/^[a-z]{2}(-[a-z]+)+-\d$/, 'a region', 'us-east-1');

export const standbySchema = object({
  secret: secretName,
  // A role that may only read, for backups while this server is the writer.
  backupSecret: secretName.optional(),
});

export const endpointSchema = object({
  zone: hostName,
  zoneId: matching(
    /^Z[A-Z0-9]{5,31}$/,
    'the id of an existing private hosted zone',
    'Z0123456789ABCDEFGHIJ',
  ).optional(),
  vpcs: z
    .array(
      object({
        id: matching(/^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/, 'the id of a VPC', 'vpc-0a1b2c3d4e5f60718'),
        region,
      }),
      {
        error: (issue) => ` is ${show(issue.input)}. Allowed: a list of VPCs. Example: [{ id: 'vpc-…', region: '…' }]`,
      },
    )
    .default([]),
  name: matching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'one label of a host name in lower case', 'orders'),
  primary: hostName,
  standby: hostName,
  mode: oneOf(['health-check', 'record-update'], 'health-check').default('health-check'),
  ttl: duration('1 second', '5 minutes', '5 seconds').default(5),
}).superRefine((endpoint, context) => {
  if ((endpoint.zoneId === undefined) === (endpoint.vpcs.length === 0)) {
    context.addIssue({
      code: 'custom',
      path: ['zoneId'],
      message:
        ' and vpcs: exactly one of them is needed. Allowed: zoneId of a private zone that you have, or vpcs for one that ' +
        "is made, which applications are in. Example: zoneId: 'Z0123456789ABCDEFGHIJ'",
    });
  }
  for (const server of ['primary', 'standby'] as const) {
    if (endpoint[server] !== `${endpoint.name}.${endpoint.zone}`) continue;
    context.addIssue({
      code: 'custom',
      path: [server],
      message: ` is the name itself. Allowed: a name of its own for each server. Example: '${endpoint.name}-1.${endpoint.zone}'`,
    });
  }
});

const compute = z
  .union([
    object({
      kind: oneOf(['ecs'], 'ecs'),
      cluster: resourceName('the name of an ECS cluster', 'databases'),
      service: resourceName('the name of an ECS service', 'orders-primary'),
    }),
    object({
      kind: oneOf(['ec2'], 'ec2'),
      instanceId: matching(/^i-([0-9a-f]{8}|[0-9a-f]{17})$/, 'the id of an instance', 'i-0a1b2c3d4e5f60718'),
    }),
  ])
  .optional();

const applications = z
  .array(
    object({
      region: region.optional(),
      cluster: resourceName('the name of an ECS cluster', 'apps'),
      service: resourceName('the name of an ECS service', 'shop'),
    }),
    {
      error: (issue) =>
        ` is ${show(issue.input)}. Allowed: a list of services. Example: [{ cluster: 'apps', service: 'shop' }]`,
    },
  )
  .superRefine((list, context) => {
    if (list.length <= 10) return;
    context.addIssue({
      code: 'custom',
      message: ` are ${list.length} services. Allowed: 10, what the parameter of a failover has room for. Example: [{ cluster: 'apps', service: 'shop' }]`,
    });
  });

const halfSecond = '500 milliseconds';
const probeInterval = field<DurationText | typeof halfSecond, number>(
  `'${halfSecond}', or a number of seconds from '1 second' to '1 minute'`,
  "'10 seconds'",
  (value) => {
    if (value === halfSecond) return 0.5;
    const seconds = typeof value === 'string' ? parseDuration(value) : undefined;
    return seconds !== undefined && seconds <= 60 ? seconds : undefined;
  },
).default(10);

export const failoverSchema = object({
  // A role that may write to the primary: the one of backups may only read.
  secret: secretName,
  automatic: boolean().default(false),
  maxLoss: duration('1 second', '1 day', '30 seconds').default(30),
  probeInterval,
  approvalTimeout: duration('1 minute', '1 day', '1 hour').default(3600),
  fences: z.array(oneOf(['stop', 'lease', 'synchronous'], 'stop')).default(['stop']),
  lease: duration('3 seconds', '5 minutes', '15 seconds').default(15),
  sequenceBump: integer(0, 1_000_000_000, 10_000).default(10_000),
  primary: compute,
  standby: compute,
  applications: applications.default([]),
  // Absent: see drill-schedule.ts.
  drill: object({ schedule: schedule('cron(0 5 1 1,4,7,10 ? *)').optional() }).prefault({}),
}).superRefine(({ fences, primary, automatic }, context) => {
  if (fences.includes('stop') && primary === undefined) {
    context.addIssue({
      code: 'custom',
      path: ['primary'],
      message:
        " is missing, and the fence 'stop' stops it. Allowed: what runs the primary, or fences without 'stop'. " +
        "Example: { kind: 'ecs', cluster: 'databases', service: 'orders-primary' }",
    });
  }
  if (automatic && fences.length === 0) {
    context.addIssue({
      code: 'custom',
      path: ['automatic'],
      message:
        ' is true, but there is no fence, so that two primaries could accept writes with nobody watching. ' +
        "Allowed: true with at least one of fences. Example: fences: ['stop']",
    });
  }
});
