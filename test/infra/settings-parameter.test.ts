import { App, Stack } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { SettingsParameter } from '../../lib/constructs/settings-parameter.ts';

const parameter = (settings: object, besides: object = {}) => {
  const stack = new Stack(new App(), 'S');
  const role = `arn:aws:iam::${stack.account}:role/r`;
  const parameterName = '/acme/databases/orders';
  const description = 'd';
  const of = { role, ...settings };
  return () =>
    new SettingsParameter(stack, 'P', { parameterName, description, database: 'orders', settings: of, besides });
};

describe('settings of a database', () => {
  it('are refused when SSM would refuse them, with the parts that are to blame', () => {
    expect(parameter({ assertions: 'x'.repeat(3900) })).not.toThrow();
    expect(parameter({ tables: ['t'], assertions: 'x'.repeat(4090) })).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        message: expect.stringMatching(
          /orders takes 4,1\d\d bytes, and 4,096 are .*: assertions 4,092, role 34, tables 5\./,
        ),
      }),
    );
  });

  it('count accounts as long as they are, and characters of several bytes as those', () => {
    // The account is a placeholder of three times its length until it is deployed.
    expect(parameter({ text: 'x'.repeat(4096 - 57) })).not.toThrow();
    expect(parameter({ text: 'ü'.repeat(2100) })).toThrow(/4,2\d\d bytes/);
  });

  it('are refused when a task could not be given them, quotes of JSON in JSON counted twice', () => {
    expect(parameter({ list: Array(900).fill('') }, {})).not.toThrow();
    expect(parameter({ list: Array(1200).fill('') }, {})).toThrow(/take [56],\d\d\d characters of its overrides/);
    expect(parameter({ text: 'x'.repeat(2500) }, { text: 'x'.repeat(2500) })).toThrow(/overrides/);
  });
});
