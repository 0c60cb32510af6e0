import { spawn } from 'node:child_process';

/** What the installers beside it share. Plain Node 20. */

/** Something that the caller can mend; its message says how. */
export class Failure extends Error {}

export const say = (line) => process.stderr.write(`${line}\n`);
export const since = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;

/** Runs a program; gives its stdout. Throws {@link Failure} with the last of what it said. */
export function run(command, args, env = {}) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let stdout = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      said = (said + text).slice(-4000);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4000);
    });
    child.on('error', (error) => failed(new Failure(`${command} could not be started: ${error.message}`)));
    child.on('close', (code) => {
      if (code === 0) done(stdout);
      else failed(new Failure(`${command} ${args[0]} exited with ${code}:\n${said.trim()}`));
    });
  });
}
