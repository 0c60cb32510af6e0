import { createHash } from 'node:crypto';
import type { Facade, ResourceContext, ResourceMaker } from '../facade.ts';

/**
 * Resources that have no behaviour in this cloud: tasks and functions are processes of one machine, which reach what
 * that machine reaches. They are given the names and attributes that other resources ask for, and whatever their
 * properties say is taken as it is.
 */
export function createInert(): Facade {
  const maker =
    (
      prefix: string,
      attributes: (id: string, properties: any, context: ResourceContext) => Attributes,
    ): ResourceMaker =>
    (properties, context) => {
      const id = `${prefix}-${digest(context)}`;
      return { ref: id, attributes: attributes(id, properties, context) };
    };
  const idOnly = (prefix: string): ResourceMaker => maker(prefix, (id) => ({ Id: id }));

  return {
    // No request is ever routed to this name: it is no service.
    service: 'inert',
    resources: {
      'AWS::CDK::Metadata': idOnly('metadata'),
      'AWS::CloudFormation::WaitConditionHandle': idOnly('handle'),
      'AWS::EC2::VPC': maker('vpc', (id, properties) => ({
        VpcId: id,
        CidrBlock: properties.CidrBlock,
        CidrBlockAssociations: [`vpc-cidr-assoc-${id.slice(4)}`],
        DefaultNetworkAcl: `acl-${id.slice(4)}`,
        DefaultSecurityGroup: `sg-${id.slice(4)}`,
        Ipv6CidrBlocks: [],
      })),
      'AWS::EC2::Subnet': maker('subnet', (id, properties) => ({
        SubnetId: id,
        AvailabilityZone: properties.AvailabilityZone,
        CidrBlock: properties.CidrBlock,
        VpcId: properties.VpcId,
        NetworkAclAssociationId: `aclassoc-${id.slice(7)}`,
        Ipv6CidrBlocks: [],
      })),
      'AWS::EC2::RouteTable': maker('rtb', (id) => ({ RouteTableId: id })),
      'AWS::EC2::Route': maker('r', (_id, properties) => ({ CidrBlock: properties.DestinationCidrBlock })),
      'AWS::EC2::SubnetRouteTableAssociation': idOnly('rtbassoc'),
      'AWS::EC2::InternetGateway': maker('igw', (id) => ({ InternetGatewayId: id })),
      'AWS::EC2::VPCGatewayAttachment': maker('IGW', () => ({ AttachmentType: 'IGW' })),
      'AWS::EC2::VPCEndpoint': maker('vpce', (id, properties) => ({
        Id: id,
        DnsEntries: [`Z0000000000000:${id}.${properties.ServiceName}.vpce.amazonaws.com`],
        NetworkInterfaceIds: (properties.SubnetIds ?? []).map((subnet: string) => subnet.replace('subnet', 'eni')),
        CreationTimestamp: new Date().toISOString(),
      })),
      'AWS::EC2::SecurityGroup': maker('sg', (id, properties) => ({ GroupId: id, Id: id, VpcId: properties.VpcId })),
      'AWS::EC2::SecurityGroupIngress': idOnly('sgr'),
      'AWS::EC2::SecurityGroupEgress': idOnly('sgr'),
      'AWS::EC2::FlowLog': idOnly('fl'),
    },
  };
}

type Attributes = Readonly<Record<string, unknown>>;

/** 17 hexadecimal digits, as EC2's ids have; the same for the same resource. */
const digest = ({ region, generatedName }: ResourceContext): string =>
  createHash('sha256').update(`${region} ${generatedName}`).digest('hex').slice(0, 17);
