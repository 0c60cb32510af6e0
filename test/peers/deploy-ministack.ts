import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

/** ministack, an emulator of AWS by others, and the programs that speak to it: the CDK's command line and `aws`. */

export const root = resolve(import.meta.dirname, '..', '..');
export const account = '111122223333';

export interface Ran {
  readonly code: number | null;
  /** stdout and stderr, as they came. */
  readonly output: string;
}

export interface Ministack {
  /** Of its own: home directory of all programs, and what they leave. */
  readonly folder: string;
  /** `node_modules/.bin/cdk`, in the project's folder. */
  cdk(...args: string[]): Promise<Ran>;
  /** `aws --region <region> <args>`, its JSON. @throws Error of a non-zero exit */
  aws(region: string, ...args: string[]): Promise<any>;
  stop(): Promise<void>;
}

export async function startMinistack(program: string, awsProgram: string): Promise<Ministack> {
  const folder = mkdtempSync(join(tmpdir(), 'ministack-'));
  const port = await freePort();
  const base = {
    PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    HOME: folder,
    TMPDIR: folder,
    LANG: 'C.UTF-8',
  };
  const server = spawn(program, [], {
    cwd: folder,
    env: {
      ...base,
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      STATE_DIR: join(folder, 'state'),
      S3_DATA_DIR: join(folder, 's3'),
      // Whether this machine has Docker must make no difference.
      DOCKER_HOST: `unix://${join(folder, 'no-docker.sock')}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = collect(server);
  const endpoint = `http://127.0.0.1:${port}`;

  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      const ended = new Promise((done) => server.once('close', done));
      server.kill('SIGTERM');
      const timer = setTimeout(() => server.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(timer);
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await answers(`${endpoint}/_ministack/health`, server);
  } catch (error) {
    await stop();
    throw new Error(`ministack did not start: ${said()}`, { cause: error });
  }

  mkdirSync(join(folder, '.aws'));
  const client = {
    ...base,
    AWS_ENDPOINT_URL: endpoint,
    // An access key of twelve digits is the account to ministack.
    AWS_ACCESS_KEY_ID: account,
    AWS_SECRET_ACCESS_KEY: 'unused',
    AWS_REGION: 'eu-north-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    // The CDK then writes to stdout and asks nothing.
    CI: 'true',
    NO_COLOR: '1',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    CDK_DISABLE_VERSION_CHECK: 'true',
    // A build of an image would fail here on every machine, and not only where Docker is missing.
    CDK_DOCKER: join(folder, 'there-is-no-docker'),
  };
  const run = (command: string, args: string[]) =>
    new Promise<Ran>((done, failed) => {
      const child = spawn(command, args, { cwd: root, env: client, stdio: ['ignore', 'pipe', 'pipe'] });
      const output = collect(child);
      child.on('error', failed);
      child.on('close', (code) => done({ code, output: output() }));
    });
  return {
    folder,
    stop,
    cdk: (...args) => run(join(root, 'node_modules', '.bin', 'cdk'), [...args, '--no-notices', '--no-color']),
    aws: (region, ...args) =>
      new Promise((done, failed) => {
        const all = ['--region', region, '--output', 'json', ...args];
        execFile(awsProgram, all, { env: client, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
          error ? failed(new Error(`aws ${args.join(' ')}: ${stderr || error.message}`)) : done(JSON.parse(stdout)),
        );
      }),
  };
}

function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  return () => text;
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer().on('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Waits for at most 30 s. */
async function answers(url: string, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt++) {
    if (server.exitCode !== null) throw new Error(`it ended with exit code ${server.exitCode}`);
    const ready = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resume) => setTimeout(resume, 200));
  }
  throw new Error('it did not answer within 30 s');
}
