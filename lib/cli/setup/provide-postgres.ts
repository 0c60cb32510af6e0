/** For bin/bootstrap.mjs: prints the directory of PostgreSQL's programs, installing them when there are none. */
import { toCliError } from '../errors.ts';
import { providePostgres } from './install-postgres.ts';

const say = (line: string) => process.stderr.write(`${line}\n`);
try {
  const { bin, version } = providePostgres(say);
  say(`PostgreSQL ${version} in ${bin}.`);
  process.stdout.write(`${bin}\n`);
} catch (thrown) {
  const error = toCliError(thrown);
  say(`pgdr: ${[error.message, error.tryNext].filter(Boolean).join(' ')}`);
  process.exitCode = error.exit;
}
