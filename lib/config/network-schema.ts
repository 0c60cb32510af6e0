import { z } from 'zod';
import { boolean, integer, matching, object } from './fields.ts';

/** Where tasks run: a VPC that pgdr makes, or an existing one, for each region by itself. */

const regionNetwork = (defaultCidr: string) =>
  object({
    cidr: matching(
      /^(\d{1,3}\.){3}\d{1,3}\/(1[6-9]|2[0-6])$/,
      'an IPv4 range from /16 to /26, for a VPC that pgdr makes',
      defaultCidr,
    ).optional(),
    vpcId: matching(
      /^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/,
      'the id of an existing VPC',
      'vpc-0a1b2c3d4e5f60718',
    ).optional(),
    subnetIds: z
      .array(matching(/^subnet-([0-9a-f]{8}|[0-9a-f]{17})$/, 'the id of a subnet of vpcId', 'subnet-0a1b2c3d4e5f60718'))
      .min(1, { error: " is empty. Allowed: at least one subnet. Example: ['subnet-0a1b2c3d4e5f60718']" })
      .optional(),
    securityGroupId: matching(
      /^sg-([0-9a-f]{8}|[0-9a-f]{17})$/,
      'the id of a security group of vpcId',
      'sg-0a1b2c3d4e5f60718',
    ).optional(),
    assignPublicIp: boolean().optional(),
  }).transform((network, context): RegionNetwork => {
    const { cidr, vpcId, subnetIds, securityGroupId, assignPublicIp } = network;
    if (vpcId && subnetIds && !cidr) {
      return { kind: 'imported', vpcId, subnetIds, securityGroupId, assignPublicIp: assignPublicIp ?? false };
    }
    if (!vpcId && !subnetIds && !securityGroupId && assignPublicIp === undefined) {
      return { kind: 'made', cidr: cidr ?? defaultCidr };
    }
    context.issues.push({
      code: 'custom',
      input: network,
      message:
        ` has ${Object.keys(network).join(', ')}. Allowed: cidr alone, or vpcId and subnetIds with an optional ` +
        `securityGroupId and assignPublicIp. Example: { cidr: '${defaultCidr}' }`,
    });
    return z.NEVER;
  });

/** A VPC that pgdr makes, or what it needs to know of an existing one. */
export type RegionNetwork =
  | { readonly kind: 'made'; readonly cidr: string }
  | {
      readonly kind: 'imported';
      readonly vpcId: string;
      readonly subnetIds: readonly string[];
      /** Absent: pgdr makes one in that VPC. */
      readonly securityGroupId: string | undefined;
      readonly assignPublicIp: boolean;
    };

// The two defaults do not overlap, so that the VPCs can be peered with each other and with what they protect.
export const networkSchema = object({
  primary: regionNetwork('10.90.0.0/22').prefault({}),
  recovery: regionNetwork('10.90.4.0/22').prefault({}),
  databasePorts: z.array(integer(1, 65_535, 5432)).default([5432]),
});
