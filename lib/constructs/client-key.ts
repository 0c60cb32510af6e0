import { CfnOutput, Fn, RemovalPolicy } from 'aws-cdk-lib';
import { AccountRootPrincipal, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { CfnAlias, CfnReplicaKey, Key } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { clientKeyAlias, keyStackName } from '../config/names.ts';

/** Output of the primary region's key stack: the ARN of the multi-region key. */
const outputName = 'ClientKeyArn';

export interface ClientKeyProps {
  readonly system: string;
  readonly role: 'primary' | 'recovery';
  readonly primaryRegion: string;
}

/**
 * The key that backups are encrypted with before they are stored. It is made in the primary region and replicated to
 * the recovery region, under the same alias in both: each region opens with its own what either has sealed. It
 * outlives its stack, since what it has sealed does.
 */
export class ClientKey extends Construct {
  constructor(scope: Construct, id: string, { system, role, primaryRegion }: ClientKeyProps) {
    super(scope, id);
    const keyId = role === 'primary' ? this.makeKey(system) : this.makeReplica(system, primaryRegion);
    const alias = new CfnAlias(this, 'Alias', { aliasName: clientKeyAlias(system), targetKeyId: keyId });
    // Without it the key cannot be found again, though it is there.
    alias.applyRemovalPolicy(RemovalPolicy.RETAIN);
  }

  private makeKey(system: string): string {
    const key = new Key(this, 'Key', {
      description: `Opens the backups of ${system}: without it they cannot be read`,
      enableKeyRotation: true,
      multiRegion: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    new CfnOutput(this, 'Arn', { value: key.keyArn }).overrideLogicalId(outputName);
    return key.keyId;
  }

  private makeReplica(system: string, primaryRegion: string): string {
    const account = new PolicyStatement({
      principals: [new AccountRootPrincipal()],
      actions: ['kms:*'],
      resources: ['*'],
    });
    const replica = new CfnReplicaKey(this, 'Replica', {
      description: `Opens the backups of ${system} in this region: without it they cannot be read here`,
      // Read when this stack is made, and by no other stack: nothing else in this region needs the other.
      primaryKeyArn: Fn.getStackOutput(keyStackName(system, primaryRegion), outputName, primaryRegion),
      // Permissions are the roles' own, as they are for the key of the bucket; a replica does not take over a policy.
      keyPolicy: new PolicyDocument({ statements: [account] }),
    });
    replica.applyRemovalPolicy(RemovalPolicy.RETAIN);
    return replica.ref;
  }
}
