import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { onInterrupt } from '../interrupt.ts';
import { createOutput, type Output } from '../output.ts';
import { isAlive } from '../processes.ts';
import { stateDirectory, workDirectory } from '../rehearse/assembly.ts';
import { database, region, rehearsalConfig, startRehearsal, system } from '../rehearse/rehearsal.ts';
import { plainText } from '../rehearse/webhook.ts';
import { providePostgres } from '../setup/install-postgres.ts';
import { createSteps } from '../steps.ts';
import { readUpEnvironment, removeUpEnvironment, writeUpEnvironment } from '../up-environment.ts';
import { sizeOf } from './rehearse.ts';

export interface UpOptions {
  readonly json?: boolean;
  readonly port?: string;
  readonly size: string;
  readonly verbose?: boolean;
}

export const upFile = join(stateDirectory, 'up.env');

/** `pgdr up`: the deployed templates on a local cloud, with a database to protect, until Ctrl-C. */
export async function up(options: UpOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const port = portOf(options.port);
  const size = sizeOf(options.size);
  const running = readUpEnvironment(upFile, isAlive);
  if (running) {
    throw new CliError(
      'AlreadyUp',
      `A local cloud is up already, at ${running.environment.AWS_ENDPOINT_URL} (pid ${running.pid}).`,
      {
        exit: exitCode.refused,
        intact: 'It goes on as it was.',
        tryNext: 'Use it, or stop it with Ctrl-C where it runs.',
      },
    );
  }
  const directory = join(workDirectory, 'up');
  // Registered first, so that it comes last: after everything that works in the directory has stopped.
  onInterrupt(async () => rmSync(directory, { recursive: true, force: true }));
  const postgres = providePostgres((line) => output.line(line));
  const rehearsal = await startRehearsal({
    postgres,
    port,
    size,
    directory,
    steps: createSteps(output),
    onSlackMessage: (message) =>
      output.line(`\n${output.paint('strong', 'Slack')}  ${plainText(message).replaceAll('\n', '\n       ')}\n`),
    verbose: options.verbose ? (line) => process.stderr.write(`${line}\n`) : undefined,
  });
  const environment = {
    // With AWS_DEFAULT_REGION, the only one that version 1 of the AWS command line reads.
    ...rehearsal.cloud.environment(region),
    PGDR_CONFIG: rehearsalConfig,
    PGDR_REHEARSE_MAJOR: String(postgres.major),
  };
  writeUpEnvironment(upFile, process.pid, environment);
  onInterrupt(async () => removeUpEnvironment(upFile));
  // Even when the process ends without having been asked to.
  process.on('exit', () => removeUpEnvironment(upFile));

  const { host, port: postgresPort, superuser } = rehearsal.source.server;
  const ready = {
    ok: true,
    endpoint: rehearsal.cloud.endpoint,
    region,
    system,
    database,
    account: rehearsal.cloud.account,
    bucket: rehearsal.settings.bucket,
    postgres: { host, port: postgresPort, database, ...superuser },
    environmentFile: upFile,
    pid: process.pid,
  };
  output.result(ready, () => instructions(ready, environment, output));
  // Timers of the schedules and the servers keep the process; Ctrl-C ends it (interrupt.ts).
  await new Promise(() => {});
  return exitCode.done;
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new CliError('BadPort', `--port ${text} is not a port.`, {
    exit: exitCode.usage,
    intact: 'Nothing was started.',
  });
}

interface Ready {
  readonly endpoint: string;
  readonly bucket: string;
  readonly account: string;
  readonly postgres: { host: string; port: number; database: string; user: string; password: string };
}

function instructions(ready: Ready, environment: Record<string, string>, output: Output): string {
  const { postgres } = ready;
  const machine = `arn:aws:states:${region}:${ready.account}:stateMachine:${system}-backup-logical`;
  const exports = Object.entries(environment).filter(([name]) => name.startsWith('AWS_'));
  return [
    '',
    output.paint('strong', `The local cloud is up at ${ready.endpoint}. Ctrl-C stops everything.`),
    '',
    'In another terminal, in this directory:',
    `  npx pgdr backup ${database}`,
    `  npx pgdr restore-test ${database}`,
    `  npx pgdr list ${database}`,
    '',
    'With the AWS command line:',
    ...exports.map(([name, value]) => `  export ${name}='${value}'`),
    `  aws --endpoint-url "$AWS_ENDPOINT_URL" s3 ls s3://${ready.bucket}/ --recursive`,
    `  aws --endpoint-url "$AWS_ENDPOINT_URL" stepfunctions start-execution --state-machine-arn ${machine} --input '{"database":"${database}"}'`,
    '',
    'The database that it protects:',
    `  PGPASSWORD='${postgres.password}' psql -h ${postgres.host} -p ${postgres.port} -U ${postgres.user} ${postgres.database}`,
    '',
    'Schedules run by the real clock; Slack messages appear below.',
  ].join('\n');
}
