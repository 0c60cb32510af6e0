import { RemovalPolicy } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { StringListParameter, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { flowLogGroup, securityGroupParameterName, subnetsParameterName } from '../config/names.ts';
import type { RegionNetwork } from '../config/network-schema.ts';

export interface NetworkProps {
  readonly system: string;
  readonly network: RegionNetwork;
  /** Ports on which tasks may speak to databases. */
  readonly databasePorts: readonly number[];
}

/** The AWS services that a task speaks to; S3 and DynamoDB have gateways. */
const services = {
  EcrApi: InterfaceVpcEndpointAwsService.ECR,
  EcrDocker: InterfaceVpcEndpointAwsService.ECR_DOCKER,
  Logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
  SecretsManager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  StepFunctions: InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
};

/** Where tasks run: private subnets without a way to the internet, or subnets of an existing VPC. */
export class Network extends Construct {
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;
  readonly assignPublicIp: boolean;

  constructor(scope: Construct, id: string, { system, network, databasePorts }: NetworkProps) {
    super(scope, id);
    if (network.kind === 'imported') {
      // Nothing here asks for zones, but the import insists on one.
      const vpc = Vpc.fromVpcAttributes(this, 'Vpc', { vpcId: network.vpcId, availabilityZones: ['unused'] });
      this.subnetIds = network.subnetIds;
      this.securityGroupId = network.securityGroupId ?? this.taskSecurityGroup(vpc, databasePorts).securityGroupId;
      this.assignPublicIp = network.assignPublicIp;
    } else {
      const vpc = this.makeVpc(system, network.cidr);
      const tasks = this.taskSecurityGroup(vpc, databasePorts);
      this.addEndpoints(vpc, tasks);
      this.subnetIds = vpc.isolatedSubnets.map((subnet) => subnet.subnetId);
      this.securityGroupId = tasks.securityGroupId;
      this.assignPublicIp = false;
    }
    new StringListParameter(this, 'SubnetIds', {
      parameterName: subnetsParameterName(system),
      description: `Subnets in which tasks of ${system} run`,
      stringListValue: [...this.subnetIds],
    });
    new StringParameter(this, 'SecurityGroupId', {
      parameterName: securityGroupParameterName(system),
      description: `Security group of the tasks of ${system}`,
      stringValue: this.securityGroupId,
    });
  }

  private makeVpc(system: string, cidr: string): Vpc {
    const vpc = new Vpc(this, 'Vpc', {
      vpcName: `${system}-pgdr`,
      ipAddresses: IpAddresses.cidr(cidr),
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: 'tasks', subnetType: SubnetType.PRIVATE_ISOLATED }],
      // Emptying the default group takes a custom resource with EC2 rights of its own; nothing is in that group.
      restrictDefaultSecurityGroup: false,
    });
    const logGroup = new LogGroup(this, 'FlowLogs', {
      logGroupName: flowLogGroup(system),
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs(logGroup) });
    return vpc;
  }

  private taskSecurityGroup(vpc: IVpc, databasePorts: readonly number[]): SecurityGroup {
    const group = new SecurityGroup(this, 'Tasks', {
      vpc,
      description: 'pgdr tasks: out to databases and AWS APIs, nothing in',
      allowAllOutbound: false,
    });
    // S3 and DynamoDB are reached at public addresses through their gateways; isolated subnets have no other way out.
    group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'AWS APIs');
    for (const port of databasePorts) group.addEgressRule(Peer.anyIpv4(), Port.tcp(port), 'PostgreSQL');
    return group;
  }

  private addEndpoints(vpc: Vpc, tasks: SecurityGroup): void {
    vpc.addGatewayEndpoint('S3', { service: GatewayVpcEndpointAwsService.S3 });
    vpc.addGatewayEndpoint('DynamoDb', { service: GatewayVpcEndpointAwsService.DYNAMODB });
    const group = new SecurityGroup(this, 'Endpoints', {
      vpc,
      description: 'pgdr endpoints of AWS APIs: in from tasks',
      allowAllOutbound: false,
    });
    group.addIngressRule(tasks, Port.tcp(443), 'tasks to AWS APIs');
    for (const [name, service] of Object.entries(services)) {
      vpc.addInterfaceEndpoint(name, { service, securityGroups: [group], open: false });
    }
  }
}
