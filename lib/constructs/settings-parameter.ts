import { Stack, Tokenization } from 'aws-cdk-lib';
import { ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { ConfigError } from '../config/schema.ts';

/** A standard parameter holds so much: https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm */
const mostBytes = 4096;

/**
 * All overrides of a task together, as JSON, in which a string in a string is longer than itself:
 * https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
 */
const overrideCharacters = 8192;
/** Of these, what comes beside settings: the task token (1,024), names, sizes and the execution (700), a request (1,700). */
const besideSettings = 1024 + 700 + 1700;

export interface SettingsParameterProps {
  readonly parameterName: string;
  readonly description: string;
  /** As the configuration calls it, for the error. */
  readonly database: string;
  readonly settings: object;
  /** Settings of the same database that a task is given beside these. */
  readonly besides?: object;
}

/** Settings of a database as an SSM parameter. Throws `ConfigError` when AWS would not take them at the first run. */
export class SettingsParameter extends Construct {
  constructor(scope: Construct, id: string, props: SettingsParameterProps) {
    super(scope, id);
    const { parameterName, description, database, settings, besides = {} } = props;
    const size = (value: unknown) => Buffer.byteLength(deployed(this, JSON.stringify(value)));
    const bytes = size(settings);
    if (bytes > mostBytes) {
      const largest = Object.entries(settings)
        .map(([key, value]) => ({ key, bytes: value === undefined ? 0 : size(value) }))
        .sort((a, b) => b.bytes - a.bytes)
        .slice(0, 3);
      throw new ConfigError(`The settings of ${database} do not fit in one SSM parameter:`, [
        `${parameterName} takes ${count(bytes)} bytes, and ${count(mostBytes)} are allowed. The largest parts: ` +
          `${largest.map((part) => `${part.key} ${count(part.bytes)}`).join(', ')}. Use patterns instead of lists, or ` +
          'functions in the database instead of long assertions',
      ]);
    }
    const escaped = [settings, besides].reduce(
      (sum, value) => sum + JSON.stringify(deployed(this, JSON.stringify(value))).length,
      0,
    );
    if (escaped + besideSettings > overrideCharacters) {
      throw new ConfigError(`A task cannot be given the settings of ${database}:`, [
        `they take ${count(escaped)} characters of its overrides, and ${count(overrideCharacters - besideSettings)} are ` +
          'allowed. Use patterns instead of lists, or functions in the database instead of long assertions',
      ]);
    }
    new StringParameter(this, 'Parameter', {
      parameterName,
      description,
      stringValue: JSON.stringify(settings),
      tier: ParameterTier.STANDARD,
    });
  }
}

/** The text with something as long in the place of what only the deployment knows: accounts and ARNs of roles. */
function deployed(scope: Construct, text: string): string {
  const longest = (token: unknown): string => {
    const reference = Stack.of(scope).resolve(token);
    if (reference?.Ref === 'AWS::AccountId') return '0'.repeat(12);
    return 'x'.repeat('arn:aws:iam::000000000000:role/'.length + 64);
  };
  return Tokenization.reverseString(text)
    .mapTokens({ mapToken: longest })
    .join({ join: (a, b) => `${a ?? ''}${b ?? ''}` });
}

const count = (number: number): string => number.toLocaleString('en');
