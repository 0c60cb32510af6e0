import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { stateTableName } from '../config/names.ts';

export interface StateTableProps {
  readonly system: string;
  readonly key: IKey;
}

/**
 * What the parts of the system agree on, one item each: leases (lib/aws/lease.ts) and decisions. Items are small and
 * few, and their ids begin with their database. It outlives its stack: an epoch must never start anew.
 */
export class StateTable extends Construct {
  readonly table: Table;

  constructor(scope: Construct, id: string, { system, key }: StateTableProps) {
    super(scope, id);
    this.table = new Table(this, 'Table', {
      tableName: stateTableName(system),
      partitionKey: { name: 'id', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      // Only what may be forgotten carries it: a lease never does, since its epoch would start anew.
      timeToLiveAttribute: 'expiresAt',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: key,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
