import type { ResourceContext } from '../facade.ts';
import { onlyKnown, required } from '../runtime/properties.ts';
import { parseStateMachine } from './load.ts';
import type { StateMachine } from './types.ts';

/** A state machine as CloudFormation made it. */
export interface Registered {
  readonly arn: string;
  readonly name: string;
  readonly region: string;
  readonly roleArn: string;
  readonly created: number;
  /** The definition's text, with its substitutions made. */
  readonly text: string;
  readonly definition: StateMachine;
  readonly logging: Logging;
  readonly tracing: boolean;
}

export interface Logging {
  readonly level: 'ALL' | 'ERROR' | 'FATAL' | 'OFF';
  readonly includeExecutionData: boolean;
  /** The ARN of the log group. */
  readonly group?: string;
}

const type = 'AWS::StepFunctions::StateMachine';

const known = [
  ...['StateMachineName', 'StateMachineType', 'Definition', 'DefinitionString', 'DefinitionSubstitutions'],
  ...['RoleArn', 'LoggingConfiguration', 'TracingConfiguration', 'Tags'],
];

const refused = {
  DefinitionS3Location: 'put the definition into DefinitionString (in CDK: DefinitionBody.fromString)',
  EncryptionConfiguration: 'leave it out: AWS-owned keys',
};

/** Makes a state machine from its resource's properties; throws where the definition would not run. */
export function register(properties: any, context: ResourceContext, account: string, now: number): Registered {
  onlyKnown(type, context, properties, known, refused);
  const place = `${type} ${context.stack}/${context.logicalId}`;
  const kind = properties.StateMachineType ?? 'STANDARD';
  if (kind !== 'STANDARD') throw new Error(`${place}: only STANDARD state machines are supported, not ${kind}`);
  const name = properties.StateMachineName ?? context.generatedName.slice(0, 80);
  const text = definitionText(properties, place);
  let definition: StateMachine;
  try {
    definition = parseStateMachine(text);
  } catch (error) {
    throw new Error(`${place}: ${(error as Error).message}`);
  }
  return {
    arn: `arn:aws:states:${context.region}:${account}:stateMachine:${name}`,
    name,
    region: context.region,
    roleArn: String(required(type, context, properties, 'RoleArn')),
    created: now,
    text,
    definition,
    logging: loggingOf(properties.LoggingConfiguration, place),
    tracing: properties.TracingConfiguration?.Enabled === true,
  };
}

function definitionText(properties: any, place: string): string {
  const { Definition, DefinitionString, DefinitionSubstitutions = {} } = properties;
  if ((Definition === undefined) === (DefinitionString === undefined)) {
    throw new Error(`${place}: needs either DefinitionString or Definition`);
  }
  const template: string = DefinitionString ?? JSON.stringify(Definition);
  return template.replace(/\$\{([A-Za-z0-9_]+)\}/g, (placeholder, key) => {
    if (!Object.hasOwn(DefinitionSubstitutions, key)) {
      throw new Error(`${place}: the definition uses ${placeholder}, which DefinitionSubstitutions does not have`);
    }
    const value = String(DefinitionSubstitutions[key]);
    // Placeholders stand inside JSON strings, where such a value would mean something else or break the definition.
    if (JSON.stringify(value) !== `"${value}"`) {
      throw new Error(`${place}: the substitution of ${placeholder} has characters that JSON escapes: ${value}`);
    }
    return value;
  });
}

function loggingOf(configuration: any, place: string): Logging {
  const { Level = 'OFF', IncludeExecutionData = false, Destinations = [] } = configuration ?? {};
  if (!['ALL', 'ERROR', 'FATAL', 'OFF'].includes(Level)) throw new Error(`${place}: unknown logging level ${Level}`);
  const group = Destinations[0]?.CloudWatchLogsLogGroup?.LogGroupArn;
  if (Level !== 'OFF' && group === undefined) throw new Error(`${place}: logging needs a destination`);
  return { level: Level, includeExecutionData: IncludeExecutionData === true, ...(group && { group }) };
}
