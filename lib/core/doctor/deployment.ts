import { about, type Finding } from './finding.ts';

/** Checks of what is deployed in one region. Pure. */

export interface BucketFacts {
  readonly region: string;
  readonly bucket: string;
  readonly exists: boolean;
  readonly versioning: boolean;
  /** The default of Object Lock; undefined: the bucket locks nothing. */
  readonly lock: { readonly mode: string; readonly days: number } | undefined;
  readonly wanted: { readonly mode: string; readonly days: number };
}

export function judgeBucket({ region, bucket, exists, versioning, lock, wanted }: BucketFacts): Finding[] {
  const { ok, failed } = about(region);
  if (!exists) return [failed('bucket', `${bucket} is not there, or may not be seen`, 'npx cdk deploy --all')];
  const found: Finding[] = [];
  found.push(
    versioning
      ? ok('versioning', bucket)
      : failed(
          'versioning',
          `${bucket} keeps no versions: what is deleted is gone`,
          `aws s3api put-bucket-versioning --region ${region} --bucket ${bucket} --versioning-configuration Status=Enabled`,
        ),
  );
  const rule = JSON.stringify({
    ObjectLockEnabled: 'Enabled',
    Rule: { DefaultRetention: { Mode: wanted.mode, Days: wanted.days } },
  });
  const mend = `aws s3api put-object-lock-configuration --region ${region} --bucket ${bucket} --object-lock-configuration '${rule}'`;
  if (!lock) found.push(failed('Object Lock', `${bucket} locks nothing by default`, mend));
  else if (lock.mode !== wanted.mode || lock.days !== wanted.days) {
    const is = `${lock.mode} for ${lock.days} days, configured is ${wanted.mode} for ${wanted.days}`;
    found.push(failed('Object Lock', is, 'npx cdk deploy --all', mend));
  } else found.push(ok('Object Lock', `${lock.mode}, ${lock.days} days`));
  return found;
}

export interface SettingsFacts {
  readonly database: string;
  readonly region: string;
  /** `missing`: not deployed. `invalid`: with the reason. `differs`: with what differs from the configuration. */
  readonly state: 'right' | 'missing' | 'invalid' | 'differs';
  readonly detail: string;
}

export function judgeSettings({ database, region, state, detail }: SettingsFacts): Finding {
  const { ok, warning, failed } = about(`${database} in ${region}`);
  const deploy = 'npx cdk deploy --all';
  if (state === 'right') return ok('settings', detail);
  if (state === 'differs') return warning('settings', `${detail}; what is deployed is older`, 'npx cdk diff', deploy);
  return failed('settings', state === 'missing' ? 'not deployed here' : detail, deploy);
}

export interface ScheduleFacts {
  readonly database: string;
  readonly region: string;
  readonly name: string;
  readonly group: string;
  /** Undefined: there is none. */
  readonly state: 'ENABLED' | 'DISABLED' | undefined;
  readonly wanted: 'ENABLED' | 'DISABLED';
}

export function judgeSchedule({ database, region, name, group, state, wanted }: ScheduleFacts): Finding {
  const { ok, warning, failed } = about(`${database} in ${region}`);
  const check = `schedule ${name}`;
  if (state === wanted) return ok(check, state === 'ENABLED' ? 'enabled' : 'disabled, as it must be here');
  if (state === undefined) return failed(check, `not in the group ${group}`, 'npx cdk deploy --all');
  const redeploy = 'npx cdk deploy --all   # after a failover: only once this region is to be the writer’s again';
  return wanted === 'ENABLED'
    ? failed(check, 'disabled: nothing starts by itself', redeploy)
    : warning(check, 'enabled, though the writer is configured in the other region', redeploy);
}

export interface QueueFacts {
  readonly region: string;
  readonly name: string;
  /** Undefined: it could not be asked. */
  readonly messages: number | undefined;
}

export function judgeQueue({ region, name, messages }: QueueFacts): Finding {
  const { ok, warning, failed } = about(region);
  const check = `queue ${name}`;
  if (messages === undefined) return failed(check, 'not there', 'npx cdk deploy --all');
  if (messages === 0) return ok(check, 'empty');
  return warning(
    check,
    `${messages} message${messages === 1 ? '' : 's'}: starts or messages that were lost`,
    `url=$(aws sqs get-queue-url --region ${region} --queue-name ${name} --query QueueUrl --output text)`,
    `aws sqs receive-message --region ${region} --queue-url "$url" --max-number-of-messages 10`,
    `aws sqs purge-queue --region ${region} --queue-url "$url"   # when every one is understood`,
  );
}

export interface BackupFacts {
  readonly database: string;
  readonly region: string;
  /** The newest backup, and the newest that was read back; ages in seconds. */
  readonly newest: { readonly id: string; readonly verified: boolean } | undefined;
  readonly verified: { readonly id: string; readonly ageSeconds: number } | undefined;
  /** What the schedules let pass between two backups, in seconds. */
  readonly intervalSeconds: number;
}

export function judgeBackup({ database, region, newest, verified, intervalSeconds }: BackupFacts): Finding {
  const { ok, warning, failed } = about(`${database} in ${region}`);
  const take = `npx pgdr backup ${database}`;
  if (!newest) return failed('last backup', 'there is none', take);
  if (!verified) return failed('last backup', `${newest.id} was never verified`, take);
  const age = `${verified.id}, verified ${Math.round(verified.ageSeconds / 360) / 10} hours ago`;
  // A run that takes an hour longer than the last is no missed one.
  if (verified.ageSeconds > intervalSeconds + Math.max(3600, intervalSeconds / 12)) {
    return failed('last backup', `${age}: too old`, take);
  }
  if (!newest.verified) return warning('last backup', `${newest.id} is not verified; before it ${age}`, take);
  return ok('last backup', age);
}
