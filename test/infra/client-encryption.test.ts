import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../lib/config/schema.ts';
import { flat, type Loose, statements, synthesize } from './assembly.ts';

type DatabaseInput = ConfigInput['databases'][number];
const databases = (clientEncryption: boolean): DatabaseInput[] => [
  { name: 'orders', version: 17, primary: { secret: 'orders/primary' }, logical: { clientEncryption } },
];
const plain = synthesize({ databases: databases(false) });
const assembly = synthesize({ databases: databases(true) });
const key = (of: Loose): Loose[] =>
  statements(of).filter(({ condition }) => JSON.stringify(condition ?? {}).includes('-pgdr-client'));
const ofTask = (of: Loose, role: string) => key(of).filter(({ policy }) => policy.startsWith(`Roles${role}`));

describe('the key of client-side encryption', () => {
  test('is there where a database asks for it, in a stack of its own for each region', () => {
    expect(plain.stacks.some(({ name }) => name.startsWith('acme-keys'))).toBe(false);
    expect(plain.stacks.flatMap(({ template }) => key(template))).toEqual([]);
    const [primary] = assembly.resources('acme-keys-eu-north-1', 'AWS::KMS::Key');
    expect(primary).toMatchObject({
      Properties: { MultiRegion: true, EnableKeyRotation: true },
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
    });
    const [replica] = assembly.resources('acme-keys-us-east-1', 'AWS::KMS::ReplicaKey');
    expect(replica.DeletionPolicy).toBe('Retain');
    expect(replica.Properties.PrimaryKeyArn).toEqual({
      'Fn::GetStackOutput': { StackName: 'acme-keys-eu-north-1', OutputName: 'ClientKeyArn', Region: 'eu-north-1' },
    });
    expect(assembly.template('acme-keys-eu-north-1').Outputs.ClientKeyArn).toBeDefined();
    for (const region of ['eu-north-1', 'us-east-1']) {
      const [alias] = assembly.resources(`acme-keys-${region}`, 'AWS::KMS::Alias');
      expect(flat(alias.Properties.AliasName)).toBe('alias/acme-pgdr-client');
    }
  });

  test('is asked for across regions by no other stack', () => {
    for (const { name, template } of assembly.stacks) {
      if (!name.startsWith('acme-keys')) expect(JSON.stringify(template)).not.toContain('Fn::GetStackOutput');
    }
  });

  test('opens to each role what it needs, within its own database', () => {
    const template = assembly.template('acme-orders-us-east-1');
    const own = { 'kms:EncryptionContext:pgdr-system': 'acme', 'kms:EncryptionContext:pgdr-database': 'orders' };
    const alias = { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/acme-pgdr-client' } };
    const describeKey = { actions: ['kms:DescribeKey'], condition: alias };
    const decrypt = { actions: ['kms:Decrypt'], condition: { ...alias, StringEquals: own } };
    const details = { 'kms:EncryptionContext:pgdr-object': 'acme/orders/*/details.json' };
    expect(ofTask(template, 'Backup')).toMatchObject([
      describeKey,
      { actions: ['kms:GenerateDataKey'], condition: { ...alias, StringEquals: own } },
      { actions: ['kms:Decrypt'], condition: { ...alias, StringEquals: own, StringLike: details } },
    ]);
    expect(ofTask(template, 'Restore')).toMatchObject([describeKey, decrypt]);
    expect(ofTask(template, 'Recover')).toMatchObject([describeKey, decrypt]);
    expect(key(assembly.template('acme-platform-us-east-1'))).toEqual([]);
  });

  test('is named in the settings, which still fit', () => {
    const [parameter] = assembly.resources('acme-orders-us-east-1', 'AWS::SSM::Parameter');
    expect(JSON.parse(flat(parameter.Properties.Value)).logical.clientKey).toBe('alias/acme-pgdr-client');
  });
});
