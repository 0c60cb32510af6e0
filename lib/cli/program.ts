import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import type { Operation } from '../core/failover/role.ts';
import type { Workflow } from '../core/outcome.ts';
import type { AnswerOptions } from './commands/answer.ts';
import type { BackupOptions } from './commands/backup.ts';
import type { CostOptions } from './commands/cost.ts';
import type { DoctorOptions } from './commands/doctor.ts';
import type { FailoverOptions } from './commands/failover.ts';
import type { ListOptions } from './commands/list.ts';
import type { RehearseOptions } from './commands/rehearse.ts';
import type { ReportOptions } from './commands/report.ts';
import type { RestoreOptions } from './commands/restore-run.ts';
import type { RetentionOptions } from './commands/retention.ts';
import type { StatusOptions } from './commands/status.ts';
import type { UpOptions } from './commands/up.ts';
import type { WindowOptions } from './commands/window.ts';
import type { WorkflowOptions } from './commands/workflow.ts';
import { type ExitCode, exitCode, reportOf, toCliError } from './errors.ts';
import { wasInterrupted } from './interrupt.ts';
import { createOutput } from './output.ts';
import { isAlive } from './processes.ts';
import { stateDirectory } from './rehearse/assembly.ts';
import { errorLines } from './rehearse/summary.ts';
import { adoptUpEnvironment } from './up-environment.ts';

/** The command line. Each command is a file of commands/, loaded when it is called. */
export async function main(argv: readonly string[]): Promise<number> {
  let code: ExitCode = exitCode.done;
  const json = argv.includes('--json');
  const run = async (work: Promise<ExitCode>) => {
    code = await work;
  };
  try {
    await createProgram(run).parseAsync(argv, { from: 'user' });
    return code;
  } catch (thrown) {
    // Help and version end by an error of commander's, too.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCode.done : exitCode.usage;
    if (wasInterrupted()) return new Promise<never>(() => {});
    const error = toCliError(thrown);
    const output = createOutput(json);
    if (json) output.result({ ok: false, error: reportOf(error) }, () => '');
    for (const line of errorLines(reportOf(error), createOutput(true))) process.stderr.write(`${line}\n`);
    if (process.env.PGDR_DEBUG) process.stderr.write(`${(error.cause as Error)?.stack ?? error.stack}\n`);
    return error.exit;
  }
}

export function createProgram(run: (work: Promise<ExitCode>) => Promise<void>): Command {
  const program = new Command('pgdr')
    .description('Disaster recovery for PostgreSQL on AWS: backups that were restored, with measured RPO and RTO.')
    .exitOverride()
    .showHelpAfterError('(pgdr --help shows all commands)')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 bad usage, 3 refused by a safety check, 4 not found.\nEvery command and its JSON: docs/cli.md',
    );

  const json = () => new Option('--json', 'print one line of JSON on stdout; progress goes to stderr');
  const size = (standard: string) => new Option('--size <size>', 'data to begin with, e.g. 200MB').default(standard);
  const region = () => new Option('--region <region>', 'AWS region (default: AWS_REGION, else the primary region)');
  const verbose = () => new Option('--verbose', 'show what happens inside the local cloud');

  program
    .command('rehearse')
    .description('back up, restore and prove a real database on a local cloud; nothing leaves this machine')
    .addOption(json())
    .addOption(size('200MB'))
    .option('--fault <name>', 'let something go wrong (docs/cli.md lists the faults); ends with exit code 1')
    .option('--image', 'run the tasks inside the images that bin/image.mjs built')
    .option('--restore-version <major>', 'restore into this newer PostgreSQL, as a check before an upgrade')
    .option('--no-failover', 'leave out the failover and failback')
    .option('--keep', 'keep the directory of the run')
    .option('--report <path>', 'where to write the HTML report')
    .addOption(verbose())
    .action(async (options: RehearseOptions) => run((await import('./commands/rehearse.ts')).rehearse(options)));

  program
    .command('up')
    .description('keep the local cloud running, for pgdr and `aws --endpoint-url`, until Ctrl-C')
    .addOption(json())
    .addOption(size('50MB'))
    .option('--port <port>', 'port of the endpoint (default: a free one)')
    .addOption(verbose())
    .action(async (options: UpOptions) => run((await import('./commands/up.ts')).up(options)));

  program
    .command('doctor')
    .argument('[database]', 'as named in pgdr.config.ts (default: all of them)')
    .description('check everything that has to be right, and say what to run to mend it; changes nothing')
    .addOption(json())
    .option('--before-deploy', 'what a first deployment needs alone')
    .action(async (database: string | undefined, options: DoctorOptions) => {
      adopt();
      return run((await import('./commands/doctor.ts')).doctor(database, options));
    });

  const workflow = (name: string, machine: Workflow, description: string) =>
    program
      .command(name)
      .argument('<database>', 'as named in pgdr.config.ts')
      .description(description)
      .addOption(json())
      .addOption(region())
      .option('--no-wait', 'start it and do not wait for its end')
      .action(async (database: string, options: WorkflowOptions) => {
        adopt();
        const { fromBucket } = options;
        if (fromBucket !== undefined) {
          const command = await import('./commands/from-bucket.ts');
          return run(command.testFromBucket(database, { ...options, fromBucket }));
        }
        return run((await import('./commands/workflow.ts')).runWorkflow(machine, database, options));
      });
  const collect = (value: string, before: readonly string[]) => [...before, value];
  program
    .command('backup')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('take a backup now, verify it, and follow it to its end')
    .addOption(json())
    .addOption(region())
    .option('--table <pattern>', 'an ad-hoc backup of these tables alone, schema.table (repeatable)', collect, [])
    .option('--schema <pattern>', 'an ad-hoc backup of these schemas alone (repeatable)', collect, [])
    .option('--exclude-table <pattern>', 'an ad-hoc backup without these tables (repeatable)', collect, [])
    .option('--exclude-schema <pattern>', 'an ad-hoc backup without these schemas (repeatable)', collect, [])
    .option('--exclude-rows <pattern>', 'an ad-hoc backup without the rows of these tables (repeatable)', collect, [])
    .option('--schema-only', 'an ad-hoc backup of definitions without rows')
    .option('--no-wait', 'start it and do not wait for its end')
    .action(async (database: string, options: BackupOptions) => {
      adopt();
      return run((await import('./commands/backup.ts')).backup(database, options));
    });
  workflow('base-backup', 'backup-physical', 'take a base backup now, verify it, and follow it to its end').option(
    '--full',
    'no increment, whatever physical.base.fullEvery says',
  );
  workflow('restore-test', 'restore-test', 'restore a backup into a throwaway server and prove it')
    .option('--backup <id>', 'a backup other than the latest')
    .option('--physical', 'recover the newest base backup with all stored WAL, and prove that')
    .option('--from-bucket <bucket>', 'do it on this machine, out of this bucket: a vault, or what is left');

  workflow('verify', 'verify', 'read every byte of a stored backup again, and compare it with its manifest').option(
    '--backup <id>',
    'a backup other than the latest; base backups, too',
  );

  program
    .command('retention')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('remove what no rule keeps, as the daily schedule does')
    .addOption(json())
    .addOption(region())
    .option('--dry-run', 'show what would be removed, and why')
    .option('--no-wait', 'start it and do not wait for its end')
    .action(async (database: string, options: RetentionOptions) => {
      adopt();
      return run((await import('./commands/retention.ts')).retention(database, options));
    });

  program
    .command('restore')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('restore a backup, or some of its tables or schemas, into a new database or the one you name')
    .addOption(json())
    .addOption(region())
    .option('--backup <id>', 'a backup other than the latest')
    .option('--to-time <time>', 'the state at this time, 2026-11-21T02:00:00.5Z, from a base backup and WAL')
    .option('--to-lsn <lsn>', 'the state at this position of the WAL')
    .option('--to-name <name>', 'the state at a restore point (pg_create_restore_point)')
    .option('--to-xid <number>', 'the state right after this transaction')
    .option('--latest', 'the last state that the stored WAL holds')
    .option('--timeline <number>', 'with these: the history to follow, when it is not the newest')
    .option('--database <name>', 'which database of the backup, when it holds several')
    .option('--table <schema.name>', 'only this table, complete (repeatable)', collect, [])
    .option('--schema <name>', 'only this schema (repeatable)', collect, [])
    .option('--schema-only', 'definitions without rows')
    .option('--to-database <name>', 'target database (default: a new one, <database>_restored_<time>)')
    .option('--to-schema <name>', 'another name for the schema that is restored')
    .option('--target-secret <name>', 'another server: a secret of restore.targets in pgdr.config.ts')
    .option('--from-bucket <bucket>', 'do it on this machine, out of this bucket: a vault, or what is left')
    .option('--overwrite <database>', 'replace data of the target: its name, typed once more')
    .option('--dry-run', 'show what would be read and where it would go')
    .option('--no-wait', 'start it and do not wait for its end')
    .action(async (database: string, options: RestoreOptions) => {
      adopt();
      return run((await import('./commands/restore.ts')).restore(database, options));
    });

  const changeWriter = (operation: Operation, description: string) =>
    program
      .command(operation)
      .argument('<database>', 'as named in pgdr.config.ts')
      .description(description)
      .addOption(json())
      .addOption(region())
      .option('--dry-run', 'look, decide, report, and change nothing')
      .option('--force', 'in place of an approval; never in place of a proven fence')
      .option('--reason <text>', 'kept with the outcome')
      .option('--max-loss <seconds>', 'the most that may be lost unasked (default: failover.maxLoss)')
      .option('--approval', 'wait for an approval, whatever the evidence')
      .option('--attest <text>', 'what you have seen that proves the old primary off: where nothing else can')
      .option('--no-wait', 'start it and do not wait for its end')
      .action(async (database: string, options: FailoverOptions) => {
        adopt();
        return run((await import('./commands/failover.ts')).changeWriter(operation, database, options));
      });
  changeWriter('failover', 'make the standby the writer: fenced, verified by a write through the name');
  changeWriter('failback', 'make the primary the writer again after a failover, with nothing lost').option(
    '--skip-backup <reason>',
    'do not back up the writer first, and why',
  );

  program
    .command('drill')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('promote a throwaway replica of the standby, and say what a failover would take and lose')
    .addOption(json())
    .addOption(region())
    .option('--dry-run', 'only what a failover would decide now')
    .option('--full', 'once a person approves, make the standby the writer and go back: with nothing lost')
    .option('--no-wait', 'start it and do not wait for its end')
    .action(async (database: string, options: FailoverOptions) => {
      adopt();
      return run((await import('./commands/failover.ts')).changeWriter('drill', database, options));
    });

  const answer = (name: 'approve' | 'abort', description: string) =>
    program
      .command(name)
      .argument('<database>', 'as named in pgdr.config.ts')
      .description(description)
      .requiredOption('--run <name>', 'the execution that asks, as its message names it')
      .addOption(json())
      .addOption(region())
      .option('--reason <text>', 'kept with the outcome')
      .action(async (database: string, options: AnswerOptions) => {
        adopt();
        return run((await import('./commands/answer.ts'))[name](database, options));
      });
  answer('approve', 'let a failover that waits for a person go on').option(
    '--attest <text>',
    'what you have seen that proves the old primary off',
  );
  answer('abort', 'end a failover before its point of no return');

  program
    .command('list')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('show the backups of a database, newest first')
    .addOption(json())
    .addOption(region())
    .option('--physical', 'base backups, and what they build on')
    .action(async (database: string, options: ListOptions) => {
      adopt();
      const { listBase } = await import('./commands/list-base.ts');
      return run(
        options.physical ? listBase(database, options) : (await import('./commands/list.ts')).list(database, options),
      );
    });
  program
    .command('status')
    .argument('[database]', 'as named in pgdr.config.ts (default: all)')
    .description('could we recover now, to when, how fast, and who says so; asks whatever region is left')
    .addOption(json())
    .option('--region <region>', 'ask this region alone (default: both)')
    .action(async (database: string | undefined, options: StatusOptions) => {
      adopt();
      return run((await import('./commands/status.ts')).status(database, options));
    });
  program
    .command('report')
    .argument('[database]', 'as named in pgdr.config.ts (default: all)')
    .description('write a page on how well the databases could be recovered: one file, for people')
    .addOption(json())
    .option('--region <region>', 'ask this region alone (default: both)')
    .option('--output <path>', 'where to write the page (default: .pgdr/reports)')
    .action(async (database: string | undefined, options: ReportOptions) => {
      adopt();
      return run((await import('./commands/report.ts')).report(database, options));
    });

  program
    .command('cost')
    .argument('[database]', 'as named in pgdr.config.ts (default: all)')
    .description('estimate what a month costs, from the configuration and the measured sizes')
    .addOption(json())
    .addOption(region())
    .option('--prices <file>', 'another table of prices (docs/cli.md)')
    .action(async (database: string | undefined, options: CostOptions) => {
      adopt();
      return run((await import('./commands/cost.ts')).cost(database, options));
    });

  program
    .command('window')
    .argument('<database>', 'as named in pgdr.config.ts')
    .description('show from when to when a database can be recovered to any moment, in each region')
    .addOption(json())
    .addOption(region())
    .action(async (database: string, options: WindowOptions) => {
      adopt();
      return run((await import('./commands/window.ts')).window(database, options));
    });
  for (const command of program.commands) command.exitOverride();
  return program;
}

/** Commands that talk to AWS talk to the local cloud of `pgdr up` when it runs and nothing else was chosen. */
function adopt(): void {
  const endpoint = adoptUpEnvironment(join(stateDirectory, 'up.env'), process.env, isAlive);
  if (endpoint) process.stderr.write(`Using the local cloud of \`pgdr up\` at ${endpoint}.\n`);
}
