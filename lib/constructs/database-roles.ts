import { Stack } from 'aws-cdk-lib';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { taskRoleName } from '../config/names.ts';
import type { serverSecrets } from '../config/server-secrets.ts';
import { adhocPrefix, databasePrefix, lineagePrefix, recoveryProofPrefix } from '../core/keys.ts';
import { bucketArn, bucketKey, secretArn, stateMachineArn } from './arns.ts';
import { clientKeyGrants } from './client-key-grants.ts';
import { allow, type Grant, makeRole } from './permissions.ts';

export interface DatabaseRolesProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  /** With which the backups of this region reach their server. */
  readonly secrets: ReturnType<typeof serverSecrets>;
}

/** What the tasks of one database run as: each may touch this database's secret and objects alone. */
export class DatabaseRoles extends Construct {
  readonly backup: Role;
  readonly restore: Role;
  readonly recover: Role;

  constructor(scope: Construct, id: string, { system, database, secrets }: DatabaseRolesProps) {
    super(scope, id);
    const { name, lineage, restore, physical } = database;
    const prefix = databasePrefix({ system, database: name });
    const proofs = `${lineagePrefix({ system, database: name, lineage })}proofs/`;
    const recoveryProofs = recoveryProofPrefix({ system, database: name, lineage });
    const recovered = adhocPrefix({ system, database: name, lineage });
    const ownObjects = 'Keys are made for each backup; the prefix is this database.';
    const { region } = Stack.of(this);
    const tasks = new ServicePrincipal('ecs-tasks.amazonaws.com');
    const key = (...actions: string[]): Grant => ({ actions, ...bucketKey(this, system) });
    const { clientEncryption, reuseUnchangedFor } = database.logical;
    const clientKey = clientEncryption ? clientKeyGrants(this, system, name) : undefined;
    /** A token is checked against the machine that gave it out. */
    const answer = (workflow: string): Grant => ({
      actions: ['states:SendTaskHeartbeat', 'states:SendTaskSuccess', 'states:SendTaskFailure'],
      resources: [stateMachineArn(this, system, workflow)],
    });

    this.backup = makeRole(this, 'Backup', tasks, `Backups of ${name}`, taskRoleName(system, name, 'backup', region));
    allow(
      this.backup,
      {
        actions: ['secretsmanager:GetSecretValue'],
        resources: [...new Set([secrets.logical, ...(physical ? [secrets.physical] : [])])].map((secret) =>
          secretArn(this, secret),
        ),
      },
      {
        // Reading is for a write that met an existing object (equal content is success) and for the parent backup;
        // a table that has not changed is kept longer instead of being stored again, in the version that it names:
        // looking at that takes GetObjectVersion, and GetObjectRetention to be told of its lock.
        actions: [
          's3:PutObject',
          's3:PutObjectRetention',
          's3:GetObjectRetention',
          's3:AbortMultipartUpload',
          's3:GetObject',
          's3:GetObjectVersion',
        ],
        resources: [bucketArn(this, system, `${prefix}*`)],
        wildcard: ownObjects,
      },
      {
        actions: ['s3:ListBucket'],
        resources: [bucketArn(this, system)],
        conditions: { StringLike: { 's3:prefix': `${prefix}*` } },
      },
      // Parts of a multipart upload are sealed with a data key that has to be opened again.
      key('kms:GenerateDataKey', 'kms:Decrypt'),
      ...(clientKey?.backup(reuseUnchangedFor > 0) ?? []),
      answer('backup-logical'),
      ...(physical ? [answer('backup-physical')] : []),
    );

    this.restore = makeRole(
      this,
      'Restore',
      tasks,
      `Restore tests of ${name}`,
      taskRoleName(system, name, 'restore', region),
    );
    allow(
      this.restore,
      {
        actions: ['s3:GetObject', 's3:GetObjectVersion'],
        resources: [bucketArn(this, system, `${prefix}*`)],
        wildcard: ownObjects,
      },
      {
        actions: ['s3:ListBucket'],
        resources: [bucketArn(this, system)],
        conditions: { StringLike: { 's3:prefix': `${prefix}*` } },
      },
      {
        actions: ['s3:PutObject'],
        resources: [proofs, ...(physical ? [recoveryProofs] : [])].map((folder) =>
          bucketArn(this, system, `${folder}*`),
        ),
        wildcard: ownObjects,
      },
      key('kms:Decrypt', 'kms:GenerateDataKey'),
      ...(clientKey?.restore() ?? []),
      answer('restore-test'),
      // A recovered server is backed up, so that what was recovered can be restored like anything else.
      ...(physical
        ? [
            {
              actions: ['s3:PutObject', 's3:PutObjectRetention', 's3:AbortMultipartUpload'],
              resources: [bucketArn(this, system, `${recovered}*`)],
              wildcard: ownObjects,
            },
            answer('restore'),
          ]
        : []),
    );

    this.recover = makeRole(
      this,
      'Recover',
      tasks,
      `Restores of ${name}`,
      taskRoleName(system, name, 'recover', region),
    );
    allow(
      this.recover,
      {
        actions: ['secretsmanager:GetSecretValue'],
        resources: [...new Set([secrets.logical, ...restore.targets.map(({ secret }) => secret)])].map((secret) =>
          secretArn(this, secret),
        ),
      },
      {
        actions: ['s3:GetObject', 's3:GetObjectVersion'],
        resources: [bucketArn(this, system, `${prefix}*`)],
        wildcard: ownObjects,
      },
      {
        actions: ['s3:ListBucket'],
        resources: [bucketArn(this, system)],
        conditions: { StringLike: { 's3:prefix': `${prefix}*` } },
      },
      key('kms:Decrypt'),
      ...(clientKey?.restore() ?? []),
      answer('restore'),
    );
  }
}
