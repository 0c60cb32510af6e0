import { existsSync, readFileSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * Makes modules resolve as they do in AWS, where nothing lies above the task root: a package that was left out of the
 * bundle is not found, though a node_modules folder above would hold it here, and a .js file is CommonJS unless the
 * bundle's own package.json says otherwise. The runtime itself brings @aws-sdk and @smithy: they come from this cloud's
 * installation where the bundle has none.
 */
export function confineModules(root: string): void {
  const rootUrl = `${pathToFileURL(root).href.replace(/\/$/, '')}/`;
  const runtimeRequire = createRequire(import.meta.url);
  const commonJs = !isModulePackage(root);
  registerHooks({
    resolve(specifier, context, next) {
      const isBare = /^(@[^/]+\/)?[a-z0-9_]/i.test(specifier) && !specifier.includes(':') && !specifier.startsWith('/');
      if (!isBare || !context.parentURL?.startsWith(rootUrl)) return next(specifier, context);
      const found = attempt(() => next(specifier, context));
      if (found && (!found.url.startsWith('file:') || found.url.startsWith(rootUrl))) return found;
      if (/^@(aws-sdk|smithy)\//.test(specifier)) {
        if (context.conditions.includes('import')) return next(specifier, { ...context, parentURL: import.meta.url });
        return { url: pathToFileURL(runtimeRequire.resolve(specifier)).href, shortCircuit: true };
      }
      throw Object.assign(
        new Error(`Cannot find package '${specifier}' imported from ${fileURLToPath(context.parentURL)}`),
        {
          code: 'ERR_MODULE_NOT_FOUND',
        },
      );
    },
    load(url, context, next) {
      const isOurs = url.startsWith(rootUrl) && !url.includes('/node_modules/') && url.endsWith('.js');
      if (!isOurs || !commonJs) return next(url, context);
      return { format: 'commonjs', source: readFileSync(fileURLToPath(url)), shortCircuit: true };
    },
  });
}

/** Whether the bundle itself says that its .js files are ECMAScript modules. */
export function isModulePackage(root: string): boolean {
  const file = join(root, 'package.json');
  return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).type === 'module';
}

function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
}
