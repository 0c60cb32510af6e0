import { AwsError, type CallContext, type Facade, type World } from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { onlyKnown } from '../runtime/properties.ts';

interface Version {
  readonly value: string;
  readonly type: string;
  readonly modifiedAt: Date;
}

interface Parameter {
  readonly name: string;
  readonly region: string;
  /** The latest is the last; version numbers begin at 1. */
  readonly versions: Version[];
}

const TYPES = new Set(['String', 'StringList', 'SecureString']);
/** Characters, by tier. */
const MAX_VALUE: Readonly<Record<string, number>> = { Standard: 4096, Advanced: 8192, 'Intelligent-Tiering': 8192 };

/** Systems Manager's Parameter Store. Values are held in memory; a SecureString is as plain as the others. */
export function createSsm(world: World): Facade & {
  /** A parameter's latest value. */
  valueOf(region: string, name: string): string | undefined;
} {
  const authorize = authorizer(world, 'ssm');
  const parameters = new Map<string, Parameter>();
  const find = (region: string, name: string): Parameter | undefined => parameters.get(`${region} ${name}`);

  const put = (region: string, name: string, value: string, type: string, overwrite: boolean, tier: string): number => {
    const limit = MAX_VALUE[tier] ?? 0;
    if (!/^[\w./-]+$/.test(name)) throw new AwsError('ValidationException', `Not a parameter's name: ${name}.`);
    if (!TYPES.has(type)) throw new AwsError('UnsupportedParameterType', `Unknown parameter type ${type}.`);
    if (value.length === 0) throw new AwsError('ValidationException', `The value of ${name} is empty.`);
    if (value.length > limit)
      throw new AwsError(
        'ValidationException',
        `${tier} parameters hold up to ${limit} characters: ${name} is longer.`,
      );
    const held = find(region, name);
    if (held && !overwrite)
      throw new AwsError('ParameterAlreadyExists', 'The parameter already exists. Set Overwrite to change it.');
    const version: Version = { value, type, modifiedAt: new Date(world.now()) };
    if (held) return held.versions.push(version);
    parameters.set(`${region} ${name}`, { name, region, versions: [version] });
    return 1;
  };

  /** A name, an ARN, or either followed by `:<version>`. */
  const read = (id: string, region: string): Record<string, unknown> | undefined => {
    const plain = nameOf(id);
    const [name = '', selector] = plain.split(':');
    const parameter = find(region, name);
    const number = selector === undefined ? parameter?.versions.length : Number(selector);
    const version = parameter?.versions[(number ?? 0) - 1];
    if (parameter === undefined || version === undefined || number === undefined) return undefined;
    return {
      Name: name,
      Type: version.type,
      Value: version.value,
      Version: number,
      ...(selector !== undefined && { Selector: `:${selector}` }),
      LastModifiedDate: version.modifiedAt,
      ARN: arn(region, name),
      DataType: 'text',
    };
  };

  const arn = (region: string, id: string): string => {
    const name = nameOf(id).split(':')[0] ?? '';
    return `arn:aws:ssm:${region}:${world.account}:parameter${name.startsWith('/') ? '' : '/'}${name}`;
  };

  return {
    service: 'ssm',
    valueOf: (region, name) => find(region, name)?.versions.at(-1)?.value,
    operations: {
      GetParameter: async (input: { Name: string; WithDecryption?: boolean }, context) => {
        await authorize(context, { operation: 'GetParameter', resource: arn(context.region, input.Name), input });
        const parameter = read(input.Name, context.region);
        if (parameter === undefined) throw new AwsError('ParameterNotFound', `There is no parameter ${input.Name}.`);
        return { Parameter: parameter };
      },
      GetParameters: async (input: { Names: string[] }, context) => {
        // One call has many resources: its first name stands for it, and each is asked for.
        const [resource = '*', ...others] = input.Names.map((name) => arn(context.region, name));
        const also = others.map((other) => ({ action: 'ssm:GetParameters', resource: other }));
        await authorize(context, { operation: 'GetParameters', resource, input, also });
        const found = input.Names.map((name) => [name, read(name, context.region)] as const);
        return {
          Parameters: found.flatMap(([, parameter]) => (parameter ? [parameter] : [])),
          InvalidParameters: found.flatMap(([name, parameter]) => (parameter ? [] : [name])),
        };
      },
      GetParametersByPath: async (input, context) => {
        const path: string = input.Path.endsWith('/') ? input.Path : `${input.Path}/`;
        await authorize(context, {
          operation: 'GetParametersByPath',
          resource: arn(context.region, input.Path),
          input,
        });
        const names = [...parameters.values()]
          .filter(({ region, name }) => region === context.region && name.startsWith(path))
          .map(({ name }) => name)
          .filter((name) => input.Recursive || !name.slice(path.length).includes('/'))
          .sort();
        const { items, next } = page(names, input.NextToken, input.MaxResults ?? 10);
        return { Parameters: items.map((name) => read(name, context.region)), NextToken: next };
      },
      PutParameter: async (input, context: CallContext) => {
        const { Name, Value, Overwrite = false, Tier = 'Standard', ...secret } = input;
        await authorize(context, {
          operation: 'PutParameter',
          resource: arn(context.region, Name),
          input: { ...secret, Name, Overwrite },
        });
        const type = input.Type ?? find(context.region, Name)?.versions.at(-1)?.type;
        if (type === undefined) throw new AwsError('ValidationException', 'A new parameter needs a Type.');
        return { Version: put(context.region, Name, Value, type, Overwrite, Tier), Tier };
      },
      DeleteParameter: async (input: { Name: string }, context) => {
        await authorize(context, { operation: 'DeleteParameter', resource: arn(context.region, input.Name), input });
        if (!parameters.delete(`${context.region} ${nameOf(input.Name)}`))
          throw new AwsError('ParameterNotFound', `There is no parameter ${input.Name}.`);
        return {};
      },
    },
    resources: {
      'AWS::SSM::Parameter': (properties, context) => {
        const known = ['Name', 'Type', 'Value', 'Description', 'Tier', 'Tags', 'AllowedPattern', 'DataType'];
        onlyKnown('AWS::SSM::Parameter', context, properties, known);
        const { Name: name = context.generatedName, Type: type, Value: value, Tier: tier = 'Standard' } = properties;
        if (type === 'SecureString') throw new Error('CloudFormation makes no SecureString parameters');
        if (properties.AllowedPattern && !new RegExp(properties.AllowedPattern).test(value))
          throw new Error(`the value of ${name} does not match ${properties.AllowedPattern}`);
        put(context.region, name, String(value), type, false, tier);
        return { ref: name, attributes: { Type: type, Value: String(value) } };
      },
    },
  };
}

/** `arn:aws:ssm:<region>:<account>:parameter/a/b` → `/a/b`; anything else is a name already. */
function nameOf(id: string): string {
  const path = /^arn:[\w-]+:ssm:[\w-]*:\d*:parameter(\/.+)$/.exec(id)?.[1];
  if (path === undefined) return id;
  // In an ARN, `parameter/plain` and `parameter/path/plain` look alike; only a name of one part has no slash.
  return path.lastIndexOf('/') === 0 ? path.slice(1) : path;
}
