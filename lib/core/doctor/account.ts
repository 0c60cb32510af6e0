import { about, type Finding, shellWord } from './finding.ts';

/** Checks of the account and of each region, from what was read there. Pure. */

export interface AccountFacts {
  /** Who asks; undefined where STS did not say, with the reason. */
  readonly identity: { readonly account: string; readonly arn: string } | undefined;
  readonly identityProblem?: string;
  /** Account that the deployed roles belong to; undefined before the first deployment. */
  readonly deployedAccount: string | undefined;
}

export function judgeAccount({ identity, identityProblem, deployedAccount }: AccountFacts): Finding[] {
  const { ok, failed } = about('account');
  if (!identity) {
    return [
      failed('credentials', identityProblem ?? 'STS says nobody', 'aws sso login', 'aws sts get-caller-identity'),
    ];
  }
  if (deployedAccount !== undefined && deployedAccount !== identity.account) {
    const found = `${identity.arn}, but pgdr is deployed in account ${deployedAccount}`;
    return [failed('credentials', found, `Choose a profile of account ${deployedAccount}: export AWS_PROFILE=…`)];
  }
  return [ok('credentials', identity.arn)];
}

/** The version of CDK's bootstrap stack that the templates ask for in their manifest. */
export const leastBootstrap = 6;
export const bootstrapParameter = '/cdk-bootstrap/hnb659fds/version';

export interface BootstrapFacts {
  readonly region: string;
  readonly account: string | undefined;
  /** Undefined: not bootstrapped. */
  readonly version: number | undefined;
  /** Whether the next thing to do is a deployment. */
  readonly beforeDeploy: boolean;
}

export function judgeBootstrap({ region, account, version, beforeDeploy }: BootstrapFacts): Finding {
  const { ok, warning, failed } = about(region);
  if (version !== undefined && version >= leastBootstrap) return ok('bootstrap', `version ${version}`);
  const mend = `npx cdk bootstrap aws://${account ?? '<account>'}/${region}`;
  const found =
    version === undefined ? 'not bootstrapped for the CDK' : `version ${version}, older than ${leastBootstrap}`;
  return beforeDeploy
    ? failed('bootstrap', found, mend)
    : warning('bootstrap', `${found}; the next deployment needs it`, mend);
}

/** What every account may run at a time until AWS is asked for more. */
const defaultFargateVcpu = 6;
/** New accounts begin with 10; reached in half by one database whose objects are verified. */
const smallLambdaConcurrency = 10;

export interface QuotaNeed {
  readonly region: string;
  /** vCPU of all tasks, when every database's largest task runs at once, and of all receivers. */
  readonly vcpu: number;
  /** Functions at a time, when every database verifies a backup at once. */
  readonly functions: number;
}

/** The quotas themselves are not asked for: what is needed is said, with the command that shows what is granted. */
export function judgeQuotas({ region, vcpu, functions }: QuotaNeed): Finding[] {
  const { ok, warning } = about(region);
  const look = (service: string, code: string) =>
    `aws service-quotas get-service-quota --region ${region} --service-code ${service} --quota-code ${code} --query Quota.Value`;
  const ask = (service: string, code: string, value: number) =>
    `aws service-quotas request-service-quota-increase --region ${region} --service-code ${service} --quota-code ${code} --desired-value ${value}`;
  return [
    vcpu <= defaultFargateVcpu
      ? ok('Fargate vCPU', `at most ${vcpu} at once; every account has ${defaultFargateVcpu}`)
      : warning(
          'Fargate vCPU',
          `up to ${vcpu} at once; an account begins with ${defaultFargateVcpu}, and what is above waits or fails`,
          look('fargate', 'L-3032A538'),
          ask('fargate', 'L-3032A538', Math.ceil(vcpu)),
        ),
    functions <= smallLambdaConcurrency
      ? ok('Lambda concurrency', `at most ${functions} at once; every account has ${smallLambdaConcurrency}`)
      : warning(
          'Lambda concurrency',
          `up to ${functions} at once; a new account has ${smallLambdaConcurrency}, an older one 1,000`,
          look('lambda', 'L-B99A9384'),
          ask('lambda', 'L-B99A9384', Math.max(1000, functions)),
        ),
  ];
}

export interface SecretFacts {
  readonly region: string;
  readonly name: string;
  readonly kind: 'database' | 'slack';
  readonly exists: boolean;
  /** What is wrong with it, without any of its content; undefined: its shape is right. */
  readonly problem: string | undefined;
  /** Whether the region needs it today. The recovery region does when it takes over. */
  readonly neededNow: boolean;
}

const shapes = {
  database: '{"host":"…","port":5432,"username":"…","password":"…","dbname":"…","sslrootcert":"…"}',
  slack: '{"url":"https://hooks.slack.com/services/…"}',
};

export function judgeSecret({ region, name, kind, exists, problem, neededNow }: SecretFacts): Finding {
  const { ok, warning, failed } = about(region);
  const check = `secret ${name}`;
  const value = shellWord(shapes[kind]);
  const quoted = shellWord(name);
  if (!exists) {
    const mend = `aws secretsmanager create-secret --region ${region} --name ${quoted} --secret-string ${value}`;
    return neededNow
      ? failed(check, 'not there', mend)
      : warning(check, 'not there; this region needs it when it takes over', mend);
  }
  if (problem === undefined) return ok(check, 'there, of the right shape');
  const mend = `aws secretsmanager put-secret-value --region ${region} --secret-id ${quoted} --secret-string ${value}`;
  return failed(check, problem, mend);
}
