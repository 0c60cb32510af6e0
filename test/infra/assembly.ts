import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App } from 'aws-cdk-lib';
import { onTestFinished } from 'vitest';
import { type ConfigInput, parseConfig } from '../../lib/config/schema.ts';
import { buildApp, buildVaultApp } from '../../lib/stacks/build-app.ts';

/** JSON of a template, whose shape the test knows. */
// biome-ignore lint/suspicious/noExplicitAny: the types of CloudFormation would not make an assertion clearer
export type Loose = any;

export const sample: ConfigInput = {
  name: 'acme',
  regions: { primary: 'eu-north-1', recovery: 'us-east-1' },
  databases: [{ name: 'orders', version: 17, primary: { secret: 'orders/primary' } }],
  notifications: { slackWebhookSecret: 'pgdr/slack' },
};

export interface Assembly {
  readonly app: App;
  readonly stacks: readonly { name: string; environment: string; dependencies: string[]; template: Loose }[];
  /** A stack's template by the stack's name. */
  template(name: string): Loose;
  /** Resources of one type in a stack, in the template's order. */
  resources(stack: string, type: string): Loose[];
}

/** Synthesizes without bundling the functions, which no assertion on templates needs. */
export function synthesize(changes: Partial<ConfigInput> = {}, outdir = temporaryFolder()): Assembly {
  const config = parseConfig({ ...sample, ...changes });
  const app = buildApp(config, { outdir, context: { 'aws:cdk:bundling-stacks': [] } });
  return assemblyOf(app);
}

/** The app of the vault's account. */
export function synthesizeVault(vault: ConfigInput['vault']): Assembly {
  return assemblyOf(buildVaultApp(parseConfig({ ...sample, vault }), { outdir: temporaryFolder() }));
}

function assemblyOf(app: App): Assembly {
  const stacks = app.synth().stacks.map((stack) => ({
    name: stack.stackName,
    environment: stack.environment.name,
    dependencies: stack.dependencies.flatMap(({ manifest }) =>
      manifest.type === 'aws:cloudformation:stack' ? [manifest.displayName ?? ''] : [],
    ),
    template: stack.template,
  }));
  const template = (name: string): Loose => {
    const found = stacks.find((stack) => stack.name === name);
    if (!found) throw new Error(`no stack ${name}, only ${stacks.map((stack) => stack.name).join(', ')}`);
    return found.template;
  };
  const resources = (stack: string, type: string): Loose[] =>
    Object.values<Loose>(template(stack).Resources).filter((resource) => resource.Type === type);
  return { app, stacks, template, resources };
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pgdr-infra-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    onTestFinished(remove);
  } catch {
    process.once('exit', remove); // Outside a test: at the end of the file's process.
  }
  return folder;
}

/** A value of a template as text: intrinsics become `<…>`, pseudo parameters too. */
export function flat(value: Loose): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if ('Fn::Join' in value) return value['Fn::Join'][1].map(flat).join(value['Fn::Join'][0]);
  if ('Fn::Sub' in value) return value['Fn::Sub'].replace(/\$\{/g, '<').replace(/\}/g, '>');
  if ('Ref' in value) return `<${value.Ref}>`;
  if ('Fn::GetAtt' in value) return `<${value['Fn::GetAtt'].join('.')}>`;
  return JSON.stringify(value);
}

export interface Statement {
  readonly policy: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly condition: Loose;
}

const list = (value: Loose): Loose[] => (Array.isArray(value) ? value : [value]);

/** All that identities of a stack are allowed, by the logical id of the policy. */
export function statements(template: Loose): Statement[] {
  return Object.entries<Loose>(template.Resources)
    .filter(([, resource]) => resource.Type === 'AWS::IAM::Policy')
    .flatMap(([policy, resource]) =>
      resource.Properties.PolicyDocument.Statement.map((statement: Loose) => ({
        policy,
        actions: list(statement.Action),
        resources: list(statement.Resource).map(flat),
        condition: statement.Condition,
      })),
    );
}
