import { describe, expect, it } from 'vitest';
import type { Assembly, AssemblyStack } from '../../local/assembly.ts';
import { inDependencyOrder } from '../../local/assembly.ts';
import { type DeployedStack, deployAssembly } from '../../local/deploy.ts';
import type { Facade, World } from '../../local/facade.ts';
import { NO_VALUE, resolve, type Scope } from '../../local/intrinsics.ts';
import type { Template } from '../../local/template.ts';

const scope: Scope = {
  region: 'eu-north-1',
  ref: (name) => (name === 'AWS::NoValue' ? NO_VALUE : `ref-${name}`),
  getAtt: (logicalId, attribute) => `${logicalId}/${attribute}`,
  mapping: (...path) => path.join('|'),
  condition: (name) => name === 'Yes',
  importValue: (name) => `imported-${name}`,
  stackOutput: (...path) => path.join('|'),
};

describe('intrinsics', () => {
  it.each<[unknown, unknown]>([
    [{ Ref: 'A' }, 'ref-A'],
    [{ 'Fn::GetAtt': ['A', 'B.C'] }, 'A/B.C'],
    [{ 'Fn::GetAtt': 'A.B.C' }, 'A/B.C'],
    [{ 'Fn::Join': ['-', ['a', { Ref: 'B' }, 3]] }, 'a-ref-B-3'],
    [{ 'Fn::Join': [',', { 'Fn::Split': ['-', 'a-b'] }] }, 'a,b'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
    [{ 'Fn::Sub': 'x ${A} ${A.Arn} ${!Literal} $plain' }, 'x ref-A A/Arn ${Literal} $plain'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
    [{ 'Fn::Sub': ['${own}-${A}', { own: { Ref: 'O' } }] }, 'ref-O-ref-A'],
    [{ 'Fn::Select': ['1', ['a', 'b']] }, 'b'],
    [{ 'Fn::Select': [0, { 'Fn::GetAZs': '' }] }, 'eu-north-1a'],
    [{ 'Fn::ImportValue': { 'Fn::Join': ['', ['e', 'x']] } }, 'imported-ex'],
    [{ 'Fn::GetStackOutput': { StackName: 's', OutputName: { Ref: 'A' }, Region: 'us-east-1' } }, 'us-east-1|s|ref-A'],
    [{ 'Fn::GetStackOutput': { StackName: 's', OutputName: 'o' } }, 'eu-north-1|s|o'],
    [{ 'Fn::FindInMap': ['m', { Ref: 'A' }, 'k'] }, 'm|ref-A|k'],
    [{ 'Fn::Base64': 'hi' }, 'aGk='],
    [{ 'Fn::Cidr': ['10.0.0.0/16', 3, 8] }, ['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24']],
    [{ 'Fn::Cidr': ['192.168.255.0/24', 2, 4] }, ['192.168.255.0/28', '192.168.255.16/28']],
    [{ a: { 'Fn::If': ['Yes', 1, 2] }, b: { 'Fn::If': ['No', 1, { Ref: 'AWS::NoValue' }] } }, { a: 1 }],
    [
      ['a', { Ref: 'AWS::NoValue' }, 'b'],
      ['a', 'b'],
    ],
    [{ 'Fn::Equals': [{ Ref: 'A' }, 'ref-A'] }, true],
    [{ 'Fn::And': [{ Condition: 'Yes' }, { 'Fn::Not': [{ Condition: 'No' }] }] }, true],
    [{ 'Fn::Or': [{ Condition: 'No' }, { 'Fn::Equals': ['a', 'b'] }] }, false],
    [
      { Ref: 'A', Other: 1 },
      { Ref: 'A', Other: 1 },
    ],
    [{ Statement: [{ Condition: { Bool: { x: true } } }] }, { Statement: [{ Condition: { Bool: { x: true } } }] }],
  ])('%j', (value, expected) => {
    expect(resolve(value, scope)).toEqual(expected);
  });

  it.each<[unknown, RegExp]>([
    [{ 'Fn::Length': [[]] }, /unknown intrinsic function Fn::Length/],
    [{ 'Fn::Join': ['', ['a']], b: 1 }, /other members/],
    [{ 'Fn::Select': [2, ['a', 'b']] }, /no item 2/],
    [{ 'Fn::Join': ['', [{ a: 1 }]] }, /expects text/],
    [{ 'Fn::Cidr': ['10.0.0.0/24', 3, 8] }, /do not fit/],
    [{ 'Fn::GetStackOutput': { StackName: 's', OutputName: 'o', RoleArn: 'r' } }, /RoleArn is not supported/],
    ['{{resolve:ssm:/a}}', /dynamic reference/],
  ])('%j is refused', (value, message) => {
    expect(() => resolve(value, scope)).toThrow(message);
  });
});

const made: { type: string; properties: unknown; logicalId: string }[] = [];
const things: Facade = {
  service: 'things',
  resources: {
    'Test::Thing': (properties, context) => {
      made.push({ type: 'Test::Thing', properties, logicalId: context.logicalId });
      return {
        ref: context.generatedName,
        attributes: { Arn: `arn:${context.region}:${context.logicalId}`, List: [1] },
      };
    },
  },
};
const world = { account: '111122223333', regions: ['eu-north-1', 'us-east-1'] } as unknown as World;

const stack = (template: Template, more: Partial<AssemblyStack> = {}): AssemblyStack => ({
  id: more.name ?? 'one',
  name: 'one',
  displayName: 'App/one',
  account: undefined,
  region: 'eu-north-1',
  template,
  parameters: {},
  dependencies: [],
  directory: '/nowhere',
  ...more,
});

function deploy(...stacks: AssemblyStack[]): Promise<DeployedStack[]> {
  made.length = 0;
  const assembly = { directory: '/nowhere', stacks } as unknown as Assembly;
  const ssmParameter = (_region: string, name: string) => (name === '/known' ? 'held' : undefined);
  return deployAssembly(assembly, stacks, { world, facades: [things], ssmParameter });
}

const thing = (Properties: unknown = {}, more: object = {}) => ({ Type: 'Test::Thing', Properties, ...more });

describe('a template', () => {
  it('makes resources in the order of their references', async () => {
    const [deployed] = await deploy(
      stack({
        Resources: {
          A: thing({ b: { 'Fn::GetAtt': ['B', 'Arn'] } }),
          // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
          B: thing({ c: { 'Fn::Sub': '${C}!' } }),
          C: thing({ account: { Ref: 'AWS::AccountId' }, stack: { Ref: 'AWS::StackName' } }, { DependsOn: ['D'] }),
          D: thing(),
        },
        Outputs: { Arn: { Value: { 'Fn::GetAtt': ['A', 'Arn'] } } },
      }),
    );
    expect(made.map(({ logicalId }) => logicalId)).toEqual(['D', 'C', 'B', 'A']);
    expect(made[1]?.properties).toEqual({ account: '111122223333', stack: 'one' });
    expect(made[2]?.properties).toEqual({ c: expect.stringMatching(/^one-C-[0-9A-F]{12}!$/) });
    expect(made[3]?.properties).toEqual({ b: 'arn:eu-north-1:B' });
    expect(deployed?.outputs).toEqual({ Arn: 'arn:eu-north-1:A' });
  });

  it('honours conditions, parameters and mappings', async () => {
    await deploy(
      stack(
        {
          Parameters: {
            Size: { Type: 'Number', Default: 3 },
            Zones: { Type: 'CommaDelimitedList', Default: 'a, b' },
            Given: { Type: 'String', AllowedValues: ['x', 'y'] },
            BootstrapVersion: {
              Type: 'AWS::SSM::Parameter::Value<String>',
              Default: '/cdk-bootstrap/hnb659fds/version',
            },
            Held: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/known' },
          },
          Mappings: { ByRegion: { 'eu-north-1': { code: 'arn' } } },
          Conditions: {
            Big: { 'Fn::Equals': [{ Ref: 'Size' }, '3'] },
            Small: { 'Fn::Not': [{ Condition: 'Big' }] },
          },
          Resources: {
            Kept: thing({
              size: { Ref: 'Size' },
              zones: { Ref: 'Zones' },
              given: { Ref: 'Given' },
              held: { Ref: 'Held' },
              code: { 'Fn::FindInMap': ['ByRegion', { Ref: 'AWS::Region' }, 'code'] },
              left: { 'Fn::If': ['Small', { Ref: 'Left' }, { Ref: 'AWS::NoValue' }] },
            }),
            Left: thing({}, { Condition: 'Small' }),
          },
        },
        { parameters: { Given: 'x' } },
      ),
    );
    expect(made).toEqual([
      {
        type: 'Test::Thing',
        logicalId: 'Kept',
        properties: { size: '3', zones: ['a', 'b'], given: 'x', held: 'held', code: 'arn' },
      },
    ]);
  });

  it('passes values between stacks, in the order of their dependencies', async () => {
    const user = stack(
      { Resources: { U: thing({ from: { 'Fn::ImportValue': 'shared' } }) } },
      { id: 'user', name: 'user', dependencies: ['base'] },
    );
    const base = stack(
      {
        Resources: { B: thing() },
        Outputs: { Out: { Value: { 'Fn::GetAtt': ['B', 'Arn'] }, Export: { Name: 'shared' } } },
      },
      { id: 'base', name: 'base' },
    );
    await deploy(user, base);
    expect(made.at(-1)).toMatchObject({ logicalId: 'U', properties: { from: 'arn:eu-north-1:B' } });
    const reader = stack(
      { Resources: { R: thing({ from: { 'Fn::GetStackOutput': { StackName: 'base', OutputName: 'Out' } } }) } },
      { id: 'reader', name: 'reader', dependencies: ['base'] },
    );
    await deploy(reader, base);
    expect(made.at(-1)).toMatchObject({ logicalId: 'R', properties: { from: 'arn:eu-north-1:B' } });
    expect(() => inDependencyOrder([user, { ...base, dependencies: ['user'] }])).toThrow(/depend on one another/);
  });

  it('with anything unknown is refused as a whole, every finding named, and nothing is made', async () => {
    const error = await deploy(
      stack({
        Resources: {
          Good: thing(),
          Server: { Type: 'AWS::EC2::Instance' },
          Other: { Type: 'AWS::EC2::Instance' },
          Odd: thing({ x: { 'Fn::Transform': {} } }, { CreationPolicy: {} }),
          Lost: thing({ Ref: 'Nowhere' }, { DependsOn: 'Gone', Condition: 'Never' }),
        },
        ...({ Transform: 'AWS::LanguageExtensions' } as object),
      }),
      stack({ Resources: { Table: { Type: 'AWS::DynamoDB::Table' } } }, { id: 'two', name: 'two' }),
    ).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(Error);
    const message = (error as Error).message;
    for (const finding of [
      'unknown resource type AWS::EC2::Instance: one/Server, one/Other',
      'unknown resource type AWS::DynamoDB::Table: two/Table',
      'unknown intrinsic function Fn::Transform: one/Odd',
      'unknown resource attribute CreationPolicy: one/Odd',
      'unknown section Transform',
      'refers to Nowhere, which the template does not have: one/Lost',
      'depends on Gone, which does not exist: one/Lost',
      'unknown condition Never: one/Lost',
    ])
      expect(message).toContain(finding);
    expect(made).toEqual([]);
  });

  it.each<[string, Template, RegExp]>([
    [
      'a circle',
      { Resources: { A: thing({ x: { Ref: 'B' } }), B: thing({ x: { Ref: 'A' } }) } },
      /in a circle: A → B → A/,
    ],
    [
      'an attribute that is not there',
      { Resources: { A: thing(), B: thing({ x: { 'Fn::GetAtt': ['A', 'Url'] } }) } },
      /one\/B \(Test::Thing\): Fn::GetAtt: A \(Test::Thing\) has no attribute Url/,
    ],
    [
      'a parameter without a value',
      { Parameters: { P: { Type: 'String' } }, Resources: { A: thing({ x: { Ref: 'P' } }) } },
      /parameter P has neither/,
    ],
    [
      'a parameter of an unknown type',
      { Parameters: { P: { Type: 'AWS::EC2::VPC::Id', Default: 'x' } }, Resources: { A: thing({ x: { Ref: 'P' } }) } },
      /unknown type AWS::EC2::VPC::Id/,
    ],
    [
      'an import that nobody exports',
      { Resources: { A: thing({ x: { 'Fn::ImportValue': 'y' } }) } },
      /no stack in eu-north-1 exports y/,
    ],
    [
      'an output of a stack that is not there',
      { Resources: { A: thing({ x: { 'Fn::GetStackOutput': { StackName: 'y', OutputName: 'z' } } }) } },
      /no stack y in eu-north-1 puts out z/,
    ],
  ])('with %s is refused', async (_what, template, message) => {
    await expect(deploy(stack(template))).rejects.toThrow(message);
  });

  it('for another account is refused', async () => {
    await expect(deploy(stack({}, { account: '999999999999' }))).rejects.toThrow(/account 999999999999/);
  });
});
