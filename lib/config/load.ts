import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Config, ConfigError, parseConfig } from './schema.ts';

const example = "export default defineConfig({ name: 'acme', … })";

/** Which file holds the configuration: what was asked for, else PGDR_CONFIG, else pgdr.config.ts where we stand. */
export const configPath = (asked?: string): string => resolve(asked ?? process.env.PGDR_CONFIG ?? 'pgdr.config.ts');

/** Loads and checks a configuration file; throws {@link ConfigError} in an operator's words. */
export async function loadConfig(path = configPath()): Promise<Config> {
  try {
    await access(path);
  } catch {
    throw new ConfigError(
      `No configuration at ${path}. Create it (docs/configuration.md), or name another with PGDR_CONFIG.`,
    );
  }
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw new ConfigError(`${path} cannot be loaded: ${(cause as Error).message}`);
  }
  if (module.default === undefined) throw new ConfigError(`${path} has no default export. Write: ${example}`);
  try {
    return parseConfig(module.default);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${path} cannot be used.`, error.problems);
    throw error;
  }
}
