import { describe, expect, it } from 'vitest';
import { type Loose, synthesize } from './assembly.ts';

/** A fleet of 200 databases within the limits of AWS, each of them as long of name and as rich as can be. */

const count = 200;
const majors = [13, 14, 15, 16, 17, 18] as const;
const name = (i: number) => `database-${String(i).padStart(3, '0')}-${'x'.repeat(11)}`;

const fleet = synthesize({
  name: 'a234567890123456',
  databases: Array.from({ length: count }, (_, i) => ({
    name: name(i),
    version: majors[i % majors.length] as (typeof majors)[number],
    primary: { secret: `${name(i)}/primary` },
    ...(i % 2 === 0 && { physical: {} }),
    restoreTest: { assertions: [`SELECT count(*) > ${i} FROM orders`] },
  })),
});

const platforms = fleet.stacks.filter((stack) => stack.name.includes('-platform-'));
const databases = fleet.stacks.filter((stack) => !stack.name.includes('-platform-'));

describe(`${count} databases`, () => {
  it('are a stack each in both regions, and nothing of the platform grows with them', () => {
    expect(platforms).toHaveLength(2);
    expect(databases).toHaveLength(2 * count);
  });

  it('stay below the resources and the size of a template', () => {
    for (const stack of fleet.stacks) {
      const resources = Object.keys(stack.template.Resources).length;
      expect(resources, stack.name).toBeLessThan(stack.name.includes('-platform-') ? 300 : 60);
      expect(Buffer.byteLength(JSON.stringify(stack.template)), stack.name).toBeLessThan(1_000_000);
    }
  });

  it('stay below the size of the policies of a role', () => {
    for (const { name, template } of fleet.stacks) {
      const sizes = new Map<string, number>();
      for (const resource of Object.values<Loose>(template.Resources)) {
        if (resource.Type !== 'AWS::IAM::Policy') continue;
        // As IAM counts it: without white space, intrinsics for an account's id at their full length or longer.
        const size = JSON.stringify(resource.Properties.PolicyDocument).length;
        for (const role of resource.Properties.Roles) {
          const key = JSON.stringify(role);
          sizes.set(key, (sizes.get(key) ?? 0) + size);
        }
      }
      for (const [role, size] of sizes) expect(size, `${name} ${role}`).toBeLessThan(10_240);
    }
  });

  it('have settings that a parameter holds, and names that AWS takes', () => {
    for (const { name, template } of fleet.stacks) {
      for (const [id, { Type, Properties }] of Object.entries<Loose>(template.Resources)) {
        const at = `${name} ${id}`;
        if (Type === 'AWS::SSM::Parameter') expect(JSON.stringify(Properties.Value).length, at).toBeLessThan(4096);
        for (const [key, most] of Object.entries(limits[Type] ?? {})) {
          const value = Properties[key];
          if (typeof value === 'string') expect(value.length, `${at} ${value}`).toBeLessThanOrEqual(most);
        }
      }
    }
  });

  it('do not start in one minute, and none later than its alarms allow', () => {
    const windows = databases.flatMap(({ template }) =>
      Object.values<Loose>(template.Resources)
        .filter(({ Type }) => Type === 'AWS::Scheduler::Schedule')
        .filter(({ Properties }) => Properties.ScheduleExpression.startsWith('cron('))
        .map(({ Properties }) => Properties.FlexibleTimeWindow),
    );
    expect(windows.length).toBeGreaterThanOrEqual(2 * count * 3);
    for (const window of windows) expect(window).toEqual({ Mode: 'FLEXIBLE', MaximumWindowInMinutes: 30 });
  });
});

it('a few databases start at their minute, unless a window is asked for', () => {
  const windowsOf = (changes: Parameters<typeof synthesize>[0]) =>
    synthesize(changes)
      .resources('acme-orders-eu-north-1', 'AWS::Scheduler::Schedule')
      .map(({ Properties }) => Properties.FlexibleTimeWindow.MaximumWindowInMinutes);
  expect(new Set(windowsOf({}))).toEqual(new Set([undefined]));
  const orders = {
    name: 'orders',
    version: 17,
    primary: { secret: 'o' },
    logical: { schedule: 'rate(1 hour)' },
  } as const;
  // An hourly backup may be five minutes late.
  expect(new Set(windowsOf({ startWindow: '20 minutes', databases: [orders] }))).toEqual(new Set([5, 20, undefined]));
});

/** The longest name that each service takes. */
const limits: Record<string, Record<string, number>> = {
  'AWS::IAM::Role': { RoleName: 64, Description: 1000 },
  'AWS::Scheduler::Schedule': { Name: 64, Description: 512 },
  'AWS::Lambda::Function': { FunctionName: 64 },
  'AWS::StepFunctions::StateMachine': { StateMachineName: 80 },
  'AWS::SQS::Queue': { QueueName: 80 },
  'AWS::SNS::Topic': { TopicName: 256 },
  'AWS::CloudWatch::Alarm': { AlarmName: 255, AlarmDescription: 1024 },
  'AWS::SSM::Parameter': { Name: 1011, Description: 1024 },
};
