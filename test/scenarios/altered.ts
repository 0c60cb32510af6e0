import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Loose } from '../infra/assembly.ts';

/**
 * A copy of a cloud assembly, some properties of which are others: thresholds that a test can reach, for one. It has to
 * lie beside the workspace's other ones, where what the images would install is found.
 */
export function alteredAssembly(assembly: string, copy: string, change: (type: string, properties: Loose) => void) {
  mkdirSync(copy, { recursive: true });
  cpSync(assembly, copy, { recursive: true });
  for (const file of readdirSync(copy).filter((name) => name.endsWith('.template.json'))) {
    const template = JSON.parse(readFileSync(join(copy, file), 'utf8'));
    for (const { Type, Properties } of Object.values<Loose>(template.Resources))
      if (Properties) change(Type, Properties);
    writeFileSync(join(copy, file), JSON.stringify(template));
  }
  return copy;
}
