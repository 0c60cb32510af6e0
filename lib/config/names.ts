/**
 * Every physical name, in one place. Explicit names turn references between stacks and regions into literals, so
 * that the recovery region never has to ask the lost one for anything.
 */

export interface SystemName {
  /** `name` of pgdr.config.ts; prefixes everything so that two systems can share an account. */
  readonly system: string;
}

export const platformStackName = (system: string, region: string): string => `${system}-platform-${region}`;
export const keyStackName = (system: string, region: string): string => `${system}-keys-${region}`;
export const databaseStackName = (system: string, database: string, region: string): string =>
  `${system}-${database}-${region}`;

/** Bucket names are global: the account (a token at synthesis) keeps them apart. */
export const backupBucketName = (system: string, account: string, region: string): string =>
  `${system}-pgdr-backups-${account}-${region}`;
export const accessLogBucketName = (system: string, account: string, region: string): string =>
  `${system}-pgdr-access-logs-${account}-${region}`;

export const keyAlias = (system: string): string => `alias/${system}-pgdr`;
/** Of the key that backups are encrypted with before they are stored; the same in both regions. */
export const clientKeyAlias = (system: string): string => `alias/${system}-pgdr-client`;
export const clusterName = (system: string): string => `${system}-pgdr`;
export const taskFamily = (system: string, major: number | '*'): string => `${system}-pgdr-pg${major}`;
export const taskLogGroup = (system: string): string => `/${system}/pgdr/tasks`;
export const workflowLogGroup = (system: string, workflow: string): string =>
  `/aws/vendedlogs/states/${system}-${workflow}`;
export const functionName = (system: string, name: string): string => `${system}-${name}`;
export const stateMachineName = (system: string, workflow: string): string => `${system}-${workflow}`;
export const outcomeTopicName = (system: string): string => `${system}-outcomes`;
export const alarmTopicName = (system: string): string => `${system}-alarms`;
/** Of a database's alarm, or of the platform's where no database is named. */
export const alarmName = (system: string, database: string | undefined, id: string): string =>
  [system, database ?? 'platform', id].join('-');
/** Of the composite that pages for an alarm unless another one explains it. */
export const pageName = (system: string, database: string, id: string): string =>
  `${alarmName(system, database, id)}-page`;
/** Dashboards belong to the account: the region keeps the two apart. Without a database, that of the fleet. */
export const dashboardName = (system: string, database: string | undefined, region: string): string =>
  [system, 'pgdr', database ?? 'fleet', region].join('-');
export const notificationDeadLetterQueueName = (system: string): string => `${system}-notification-dead-letters`;
export const scheduleGroupName = (system: string): string => `${system}-pgdr`;
export const scheduleName = (system: string, database: string, workflow: string): string =>
  `${system}-${database}-${workflow}`;
/** The schedule that starts the restore test of base backups and WAL. */
export const physicalRestoreTest = 'restore-test-physical';
export const scheduleDeadLetterQueueName = (system: string): string => `${system}-schedule-dead-letters`;
export const settingsParameterName = (system: string, database: string): string => `/${system}/databases/${database}`;
export const retentionSettingsParameterName = (system: string, database: string): string =>
  `${settingsParameterName(system, database)}/retention`;
export const physicalSettingsParameterName = (system: string, database: string): string =>
  `${settingsParameterName(system, database)}/physical`;
/** Where the tasks of a region run, for the services that database stacks add. */
export const subnetsParameterName = (system: string): string => `/${system}/platform/subnets`;
export const securityGroupParameterName = (system: string): string => `/${system}/platform/security-group`;
export const receiverName = (system: string, database: string): string => `${system}-${database}-wal-receiver`;
/** Leases and decisions, see lib/constructs/state-table.ts. */
export const stateTableName = (system: string): string => `${system}-pgdr-state`;
/** Ids of items begin with their database, so that a role can be limited to the items of one. */
export const stateItemId = (database: string, what: string): string => `${database}/${what}`;
export const failoverParameterName = (system: string, database: string): string =>
  `${settingsParameterName(system, database)}/failover`;
/** What is switched on in the region that holds the writer: lib/constructs/protection.ts. */
export const protectionParameterName = (system: string, database: string): string =>
  `${settingsParameterName(system, database)}/protection`;
/** What the tasks of a database do: back it up, restore it for a test, restore it for good, receive its WAL, drill with it. */
export type TaskPurpose = 'backup' | 'restore' | 'recover' | 'receive' | 'drill';
/** Role names are global in an account: the region keeps the two apart. */
export const taskRoleName = (system: string, database: string, job: TaskPurpose, region: string): string =>
  `${system}-${database}-${job}-${region}`;

/** The role by which ECS itself pulls a task's image and writes its log. */
export const executionRoleName = (system: string, region: string): string => `${system}-pgdr-execution-${region}`;
/** The role by which S3 copies backups to the other region. */
export const replicationRoleName = (system: string, region: string): string => `${system}-pgdr-replication-${region}`;
/** Of AWS Backup: its stack, and its vault, which has the same name in every region and account. */
export const awsBackupStackName = (system: string, region: string): string => `${system}-aws-backup-${region}`;
export const awsBackupVaultName = (system: string): string => `${system}-pgdr-aws-backup`;
/** Of the vault, in the account and the region that are its own. */
export const vaultStackName = (system: string, region: string): string => `${system}-vault-${region}`;
export const vaultBucketName = (system: string, account: string, region: string): string =>
  `${system}-pgdr-vault-${account}-${region}`;
export const vaultAccessLogBucketName = (system: string, account: string, region: string): string =>
  `${system}-pgdr-vault-logs-${account}-${region}`;
export const vaultKeyAlias = (system: string): string => `alias/${system}-pgdr-vault`;
/** The role by which people of the vault's account read it, and restore from it. */
export const vaultReaderRoleName = (system: string, region: string): string => `${system}-pgdr-vault-reader-${region}`;
/** The role by which EventBridge Scheduler starts executions. */
export const scheduleRoleName = (system: string, region: string): string => `${system}-pgdr-schedules-${region}`;
export const flowLogGroup = (system: string): string => `/${system}/pgdr/flows`;
export const writerAlarmName = (system: string, database: string): string =>
  `${system}-${database}-secondary-is-writer`;
/** The functions of failovers by what they may touch: role names are global, and stacks of databases allow them more. */
export type FailoverFunction =
  | 'failover-state'
  | 'failover-server'
  | 'failover-fence'
  | 'failover-traffic'
  | 'failover-probe'
  | 'failover-follow';
export const failoverRoleName = (system: string, name: FailoverFunction, region: string): string =>
  `${system}-${name}-${region}`;
/** Who may start and abort failovers, and who may approve them: two roles, so that nobody approves his own. */
export const personRoleName = (system: string, person: 'operator' | 'approver', region: string): string =>
  `${system}-failover-${person}-${region}`;
