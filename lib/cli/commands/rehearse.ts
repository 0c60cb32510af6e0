import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { createOutput, parseSize } from '../output.ts';
import { isAlive } from '../processes.ts';
import { stateDirectory, workDirectory } from '../rehearse/assembly.ts';
import { conduct } from '../rehearse/conduct.ts';
import { findFault } from '../rehearse/faults/index.ts';
import { writeReport } from '../rehearse/report/page.ts';
import { renderSummary } from '../rehearse/summary.ts';
import { providePostgres } from '../setup/install-postgres.ts';

export interface RehearseOptions {
  readonly json?: boolean;
  readonly size: string;
  readonly fault?: string;
  readonly keep?: boolean;
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
  const runs = join(workDirectory, 'rehearse');
  removeLeftovers(runs);

  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const directory = join(runs, `${time}-${process.pid}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(runs, `${time}-${process.pid}.pid`), `${process.pid}\n`);
  const reportPath = resolve(options.report ?? join(stateDirectory, 'reports', `rehearsal-${time}.html`));
  try {
    const result = await conduct({
      postgres,
      directory,
      size,
      fault,
      output,
      reportPath,
      verbose: options.verbose ? (line) => process.stderr.write(`${line}\n`) : undefined,
    });
    writeReport(reportPath, result);
    output.result(result, () => renderSummary(result, output));
    return result.ok ? exitCode.done : exitCode.failed;
  } finally {
    rmSync(`${directory}.pid`, { force: true });
    if (options.keep) output.line(`Kept: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
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

/** A rehearsal that was killed leaves its server and its directory: both go when its process is gone. */
function removeLeftovers(runs: string): void {
  mkdirSync(runs, { recursive: true });
  for (const name of readdirSync(runs)) {
    if (!name.endsWith('.pid')) continue;
    if (isAlive(Number(readFileSync(join(runs, name), 'utf8')))) continue;
    const directory = join(runs, name.slice(0, -'.pid'.length));
    stopServer(join(directory, 'source', 'data', 'postmaster.pid'));
    rmSync(directory, { recursive: true, force: true });
    rmSync(join(runs, name), { force: true });
  }
}

/** The first line of the file is the postmaster's pid, the second its data directory; a reused pid is left alone. */
function stopServer(pidFile: string): void {
  try {
    const [pid, data] = readFileSync(pidFile, 'utf8').split('\n');
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    if (data && commandLine.includes(data)) process.kill(Number(pid), 'SIGQUIT');
  } catch {
    // No such server, or no /proc to be sure with.
  }
}
