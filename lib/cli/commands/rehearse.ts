import { join, resolve } from 'node:path';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { onInterrupt, wasInterrupted } from '../interrupt.ts';
import { createOutput, parseSize } from '../output.ts';
import { stateDirectory, workDirectory } from '../rehearse/assembly.ts';
import { conduct } from '../rehearse/conduct.ts';
import { findFault } from '../rehearse/faults/index.ts';
import { findImages } from '../rehearse/images.ts';
import { openRunDirectory, removeLeftovers } from '../rehearse/leftovers.ts';
import { writeReport } from '../rehearse/report/page.ts';
import { renderSummary } from '../rehearse/summary.ts';
import { providePostgres } from '../setup/install-postgres.ts';
import { findMajor, type PostgresBinaries, supportedMajors } from '../setup/postgres-binaries.ts';

export interface RehearseOptions {
  readonly json?: boolean;
  readonly size: string;
  readonly fault?: string;
  readonly restoreVersion?: string;
  readonly image?: boolean;
  readonly keep?: boolean;
  readonly failover?: boolean;
  readonly report?: string;
  readonly verbose?: boolean;
}

/** `pgdr rehearse`: backs up, restores and proves a real database through the synthesized templates. */
export async function rehearse(options: RehearseOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const size = sizeOf(options.size);
  const fault = options.fault === undefined ? undefined : findFault(options.fault);
  const postgres = providePostgres((line) => output.line(line));
  fault?.requirePossible?.(postgres);
  const restorePostgres = options.restoreVersion ? newerMajor(options.restoreVersion, postgres) : undefined;
  const images = options.image
    ? findImages([postgres.major, ...(restorePostgres ? [restorePostgres.major] : [])])
    : undefined;
  const runs = join(workDirectory, 'rehearse');
  await removeLeftovers(runs);
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const run = openRunDirectory(runs, `${time}-${process.pid}`);
  // Registered first, so that it comes last: after everything that works in the directory has stopped.
  const forget = onInterrupt(async () => run.close(options.keep));
  const reportPath = resolve(options.report ?? join(stateDirectory, 'reports', `rehearsal-${time}.html`));
  try {
    const result = await conduct({
      postgres,
      restorePostgres,
      images,
      directory: run.path,
      size,
      fault,
      output,
      reportPath,
      failover: (options.failover ?? true) && fault === undefined,
      verbose: options.verbose ? (line) => process.stderr.write(`${line}\n`) : undefined,
    });
    writeReport(reportPath, result);
    output.result(result, () => renderSummary(result, output));
    return result.ok ? exitCode.done : exitCode.failed;
  } finally {
    // After Ctrl-C the handler above removes it, once all has stopped.
    if (!wasInterrupted()) run.close(options.keep);
    forget();
    if (options.keep) output.line(`Kept: ${run.path}`);
  }
}

/** PostgreSQL of the major to restore into; refuses one that is older or not here. */
function newerMajor(text: string, { major }: PostgresBinaries): PostgresBinaries {
  const wanted = Number(text);
  const intact = 'Nothing was started.';
  if (!(Number.isInteger(wanted) && wanted >= major && wanted <= supportedMajors.newest)) {
    throw new CliError(
      'BadVersion',
      `--restore-version ${text} is no major from ${major} to ${supportedMajors.newest}.`,
      {
        exit: exitCode.usage,
        intact,
        tryNext: `The source is PostgreSQL ${major}; nothing is restored into an older one. PG_BIN chooses another source.`,
      },
    );
  }
  const found = findMajor(wanted);
  if (found) return found;
  throw new CliError('PostgresMissing', `PostgreSQL ${wanted} was not found.`, {
    exit: exitCode.failed,
    intact,
    tryNext: `Run \`node bin/majors.mjs ${wanted}\`, which puts it into .pgdr/majors beside what this system has.`,
  });
}

export function sizeOf(text: string): number {
  const size = parseSize(text);
  if (size !== undefined && size >= 1_000_000) return size;
  throw new CliError('BadSize', `--size ${text} is not a size of at least 1 MB.`, {
    exit: exitCode.usage,
    intact: 'Nothing was started.',
    tryNext: 'Write it like 200MB, 1.5GB or 64MiB.',
  });
}
