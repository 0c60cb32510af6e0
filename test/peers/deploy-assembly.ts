import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reading and changing a cloud assembly. */

export type Loose = any;

const read = (assembly: string, name: string): Loose => JSON.parse(readFileSync(join(assembly, name), 'utf8'));

export interface StackTemplate {
  readonly name: string;
  readonly region: string;
  readonly template: Loose;
}

/** The stacks of an assembly by what their artifacts say. */
export function stacksOf(assembly: string): StackTemplate[] {
  return Object.entries<Loose>(read(assembly, 'manifest.json').artifacts)
    .filter(([, artifact]) => artifact.type === 'aws:cloudformation:stack')
    .map(([id, { environment, properties }]) => ({
      name: properties.stackName ?? id,
      region: environment.split('/').at(-1),
      template: read(assembly, properties.templateFile),
    }));
}

/** Where the CDK would push the images of an assembly. */
export function imagesOf(assembly: string): { region: string; repository: string; tag: string }[] {
  return readdirSync(assembly)
    .filter((name) => name.endsWith('.assets.json'))
    .flatMap((name) => Object.values<Loose>(read(assembly, name).dockerImages ?? {}))
    .flatMap(({ destinations }) => Object.values<Loose>(destinations))
    .map(({ region, repositoryName, imageTag }) => ({ region, repository: repositoryName, tag: imageTag }));
}

/**
 * A copy of an assembly with its templates changed. Templates are assets too, published once under their hash: a
 * changed one gets its new hash everywhere, or the one published before would be deployed.
 */
export function copyAssembly(assembly: string, copy: string, change: (template: Loose) => void): void {
  cpSync(assembly, copy, { recursive: true });
  const renamed = new Map<string, string>();
  for (const name of readdirSync(copy).filter((file) => file.endsWith('.assets.json'))) {
    for (const [hash, { source }] of Object.entries<Loose>(read(copy, name).files)) {
      if (!source.path?.endsWith('.template.json')) continue;
      const template = read(copy, source.path);
      change(template);
      const text = JSON.stringify(template, null, 1);
      writeFileSync(join(copy, source.path), text);
      renamed.set(hash, createHash('sha256').update(text).digest('hex'));
    }
  }
  for (const name of readdirSync(copy).filter((file) => file === 'manifest.json' || file.endsWith('.assets.json'))) {
    let text = readFileSync(join(copy, name), 'utf8');
    for (const [before, after] of renamed) text = text.replaceAll(before, after);
    writeFileSync(join(copy, name), text);
  }
}
