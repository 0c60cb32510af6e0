import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyAssembly, imagesOf, type Loose, stacksOf } from './deploy-assembly.ts';
import { account, type Ministack, root, startMinistack } from './deploy-ministack.ts';
import { describeWithPeers } from './peers.ts';

/**
 * The app of bin/app.ts with the sample configuration, synthesized, bootstrapped for and deployed by the CDK's own
 * command line, as docs and README say, onto ministack. Two things are not as on AWS:
 * - Resource types that ministack's CloudFormation does not have are taken out of a copy of the assembly: `lacking`.
 * - No image is built, for that takes a Docker engine. The CDK asks ECR whether an image of the asset's tag is there
 *   and builds only when there is none, so one without layers is put there before. tasks/Dockerfile is not judged here.
 */
const lacking = ['AWS::CloudWatch::CompositeAlarm', 'AWS::EC2::FlowLog', 'AWS::EC2::SecurityGroupIngress'];

const emptyImage = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    size: 2,
  },
  layers: [],
});

describeWithPeers('cdk deploy onto ministack', ['ministack', 'aws'], (ministack, awsProgram) => {
  let cloud: Ministack;
  let synthesized: string;
  /** What the emulator took in the end. */
  let accepted: string;

  const deploy = (assembly: string) =>
    cloud.cdk('deploy', '--all', '--app', assembly, '--require-approval', 'never', '--progress', 'events');
  const succeeded = async (run: ReturnType<Ministack['cdk']>) => {
    const { code, output } = await run;
    expect(code, output).toBe(0);
    return output;
  };

  beforeAll(async () => {
    cloud = await startMinistack(ministack, awsProgram);
    synthesized = join(cloud.folder, 'cdk.out');
    await succeeded(cloud.cdk('synth', '--quiet', '--output', synthesized));
    const regions = new Set(stacksOf(synthesized).map(({ region }) => region));
    await succeeded(cloud.cdk('bootstrap', ...[...regions].map((region) => `aws://${account}/${region}`)));
    for (const { region, repository, tag } of imagesOf(synthesized)) {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own, which the CDK fills in too
      const name = repository.replace('${AWS::AccountId}', account);
      const image = ['--repository-name', name, '--image-tag', tag, '--image-manifest', emptyImage];
      await cloud.aws(region, 'ecr', 'put-image', ...image);
    }
  }, 400_000);

  afterAll(() => cloud?.stop());

  test('the app is refused only for the resource types that the emulator lacks', async () => {
    const refused = new Set<string>();
    let assembly = synthesized;
    for (;;) {
      const { code, output } = await deploy(assembly);
      if (code === 0) break;
      const types = /Unrecognized resource types: \[([^\]]+)\]/.exec(output)?.[1]?.split(', ') ?? [];
      const more = types.filter((type) => !refused.has(type));
      expect(more, output).not.toEqual([]);
      for (const type of more) refused.add(type);
      assembly = join(cloud.folder, `without-${refused.size}`);
      copyAssembly(synthesized, assembly, (template) => {
        const kept = Object.entries<Loose>(template.Resources).filter(([, { Type }]) => !refused.has(Type));
        template.Resources = Object.fromEntries(kept);
      });
    }
    accepted = assembly;
    expect([...refused].sort()).toEqual(lacking);
  });

  test('every other resource of every stack was made', async () => {
    const stacks = stacksOf(accepted);
    expect(stacks).toHaveLength(4);
    for (const { name, region, template } of stacks) {
      const { StackResources } = await cloud.aws(
        region,
        'cloudformation',
        'describe-stack-resources',
        '--stack-name',
        name,
      );
      const made = StackResources.filter(({ ResourceStatus }: Loose) => ResourceStatus === 'CREATE_COMPLETE');
      expect(made.map((resource: Loose) => `${resource.ResourceType} ${resource.LogicalResourceId}`).sort()).toEqual(
        Object.entries<Loose>(template.Resources)
          .map(([id, { Type }]) => `${Type} ${id}`)
          .sort(),
      );
    }
  });

  test('the state machines read back as they were written, every placeholder filled in', async () => {
    const all = readdirSync(join(root, 'state-machines')).filter((name) => name.endsWith('.asl.json'));
    // The sample fails nothing over, and has no AWS Backup.
    const files = all.filter((name) => !/^(drill|fail|probe-|scheduled-run|validate-restore)/.test(name));
    const { stateMachines } = await cloud.aws('eu-north-1', 'stepfunctions', 'list-state-machines');
    expect(stateMachines.map(({ name }: Loose) => name).sort()).toEqual(
      files.map((file) => `acme-${file.split('.')[0]}`).sort(),
    );
    for (const file of files) {
      const written = JSON.parse(readFileSync(join(root, 'state-machines', file), 'utf8'));
      const { stateMachineArn } = stateMachines.find(({ name }: Loose) => name === `acme-${file.split('.')[0]}`);
      const described = await cloud.aws(
        'eu-north-1',
        'stepfunctions',
        'describe-state-machine',
        '--state-machine-arn',
        stateMachineArn,
      );
      expect(described.definition).not.toContain('${');
      const definition = JSON.parse(described.definition);
      expect(Object.keys(definition.States)).toEqual(Object.keys(written.States));
      expect(described.roleArn).toMatch(new RegExp(`^arn:aws:iam::${account}:role/`));
    }
  });

  test('schedules are on in the primary region, and in the other one those that look after what it holds itself', async () => {
    const states = async (region: string) => {
      const { Schedules } = await cloud.aws(region, 'scheduler', 'list-schedules', '--group-name', 'acme-pgdr');
      return Object.fromEntries(Schedules.map(({ Name, State }: Loose) => [Name, State]));
    };
    const schedules = (ofTheWriter: string) => ({
      'acme-orders-backup-logical': ofTheWriter,
      'acme-orders-restore-test': ofTheWriter,
      'acme-orders-publish-posture': 'ENABLED',
      'acme-orders-retention': 'ENABLED',
    });
    expect(await states('eu-north-1')).toEqual(schedules('ENABLED'));
    expect(await states('us-east-1')).toEqual(schedules('DISABLED'));
  });

  test('a second deployment changes nothing', async () => {
    const output = await succeeded(deploy(accepted));
    expect(output.match(/\(no changes\)/g), output).toHaveLength(4);
  });

  test('a template with a mistake would have been refused', async () => {
    const broken = join(cloud.folder, 'broken');
    copyAssembly(accepted, broken, (template) => {
      const policy = Object.values<Loose>(template.Resources).find(({ Type }) => Type === 'AWS::IAM::Policy');
      policy.Properties.Roles = [{ Ref: 'NoSuchRole' }];
    });
    const { code, output } = await deploy(broken);
    expect(output).toContain('NoSuchRole');
    expect(code).not.toBe(0);
  });
});
