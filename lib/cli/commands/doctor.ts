import type { Config } from '../../config/schema.ts';
import { about, type Finding } from '../../core/doctor/finding.ts';
import type { ClientSettings } from '../clients.ts';
import { loadConfiguration } from '../context.ts';
import { examineRegions } from '../doctor/regions.ts';
import { examineServers } from '../doctor/servers.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { createOutput, formatTable, type Output } from '../output.ts';

export interface DoctorOptions {
  readonly json?: boolean;
  /** What a first deployment needs alone; nothing that it would bring is missed. */
  readonly beforeDeploy?: boolean;
}

/** What `pgdr doctor --json` prints; documented in docs/cli.md. */
export interface DoctorResult {
  readonly ok: boolean;
  readonly beforeDeploy: boolean;
  readonly databases: readonly string[];
  readonly counts: Readonly<Record<Finding['state'], number>>;
  readonly findings: readonly Finding[];
}

/** `pgdr doctor [database]`: looks at everything that has to be right, changes nothing, and says how to mend it. */
export async function doctor(database: string | undefined, options: DoctorOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const config = await loadConfiguration();
  const result = await examine(config, database, options.beforeDeploy ?? false, undefined, (text) =>
    output.transient(text),
  );
  output.result(result, () => render(result, output));
  return result.ok ? exitCode.done : exitCode.failed;
}

export async function examine(
  config: Config,
  database: string | undefined,
  beforeDeploy: boolean,
  settingsOf: (region: string) => ClientSettings = (region) => ({ region }),
  say: (text: string) => void = () => {},
): Promise<DoctorResult> {
  const databases = config.databases.filter(({ name }) => database === undefined || name === database);
  if (database !== undefined && databases.length === 0) {
    throw new CliError('UnknownDatabase', `pgdr.config.ts has no database ${database}.`, { exit: exitCode.notFound });
  }
  const { ok } = about('configuration');
  const findings: Finding[] = [
    ok(
      'pgdr.config.ts',
      `${config.name}: ${databases.length} databases, ${config.regions.primary} → ${config.regions.recovery}`,
    ),
  ];
  say('Looking at both regions …');
  const { findings: ofRegions, secrets } = await examineRegions({ config, databases, beforeDeploy, settingsOf });
  findings.push(...ofRegions);
  for (const one of databases) {
    say(`Looking at the server of ${one.name} …`);
    findings.push(...(await examineServers(one, secrets)));
  }
  const counts = { ok: 0, warning: 0, failed: 0 };
  for (const { state } of findings) counts[state]++;
  return { ok: counts.failed === 0, beforeDeploy, databases: databases.map(({ name }) => name), counts, findings };
}

export function render({ findings, counts, ok }: DoctorResult, output: Output): string {
  const marks = { ok: output.paint('good', '✓'), warning: output.paint('warn', '!'), failed: output.paint('bad', '✗') };
  const rows = findings.map(({ state, subject, check, found }) => [marks[state], subject, check, found]);
  const lines = ['', formatTable([' ', 'Of', 'Check', 'Found'], rows)];
  const open = findings.filter(({ mend }) => mend.length > 0);
  if (open.length > 0) lines.push('', output.paint('strong', 'To mend'));
  for (const { state, subject, check, mend } of open)
    lines.push('', `${marks[state]} ${subject}: ${check}`, ...mend.map((line) => `    ${line}`));
  const { warning, failed } = counts;
  const verdict = ok
    ? `Nothing failed; ${warning} warning${warning === 1 ? '' : 's'}.`
    : `${failed} failed, ${warning} warning${warning === 1 ? '' : 's'}.`;
  lines.push('', output.paint(ok ? 'good' : 'bad', verdict));
  return lines.join('\n');
}
