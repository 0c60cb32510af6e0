import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { PgdrError } from '../lib/core/errors.ts';
import { withoutTimeouts } from '../lib/postgres/connection.ts';
import { databaseArgument, type RunningTool, startTool } from '../lib/postgres/tools.ts';
import type { TargetServer } from './restore-tools.ts';

/**
 * One transaction in an existing database, written by psql: scripts of pg_restore and pg_dump go in one after another,
 * questions are answered in between, and nobody sees anything until it is committed. What fails rolls all of it back.
 */
export interface Transaction {
  run(sql: string): Promise<void>;
  /** The script that a tool writes to its stdout. */
  runOutput(tool: RunningTool): Promise<void>;
  ask<Row>(query: string): Promise<Row[]>;
  commit(): Promise<void>;
  /** Ends psql, and with it the transaction, unless it was committed. */
  close(): Promise<void>;
}

const answerMark = 'pgdr answers: ';

export async function beginTransaction(
  server: TargetServer,
  database: string,
  signal: AbortSignal,
): Promise<Transaction> {
  const options = ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set=ON_ERROR_STOP=1', '--file=-'];
  let stderr = '';
  const psql = startTool('psql', [...options, databaseArgument(database)], server.tools, 'RestoreFailed', {
    signal,
    accept: (text) => {
      stderr = text;
      return false;
    },
  });
  // Which objects depend on one that is to be dropped, or which row breaks a constraint, is in the detail.
  const ended = psql.ended.catch((error) => {
    const detail = /^DETAIL: .*(?:\n(?!\w+:).*)*/m.exec(stderr)?.[0].replace(/\s+/g, ' ');
    throw error instanceof PgdrError && detail ? new PgdrError(error.name, `${error.message} ${detail}`) : error;
  });
  ended.catch(() => {});
  const stdin = psql.process.stdin as Writable;
  // EPIPE: psql has ended, and says why.
  stdin.on('error', () => {});
  const over = ended.then(() => Promise.reject(new Error('psql ended before the transaction did')));
  over.catch(() => {});
  const output = createInterface({ input: psql.process.stdout as Readable });
  let onLine: (line: string) => void = () => {};
  output.on('line', (line) => onLine(line));

  const write = async (text: string | Buffer): Promise<void> => {
    if (stdin.destroyed) await over;
    if (stdin.write(text)) return;
    // An error of the pipe is only the echo of psql's end.
    await Promise.race([once(stdin, 'drain').catch(() => over), over]);
  };
  const run = (sql: string) => write(`${sql};\n`);
  let asked = 0;

  const ask = async <Row>(query: string): Promise<Row[]> => {
    const rows: Row[] = [];
    const end = `${answerMark}end ${++asked}`;
    const answered = new Promise<void>((resolve) => {
      onLine = (line) => {
        if (line === end) resolve();
        else if (line.startsWith(answerMark)) rows.push(JSON.parse(line.slice(answerMark.length)));
      };
    });
    await run(`SELECT '${answerMark}' || row_to_json(q)::text FROM (${query}) q`);
    await run(`SELECT '${end}'`);
    await Promise.race([answered, over]);
    return rows;
  };

  await run(withoutTimeouts);
  await run('BEGIN');
  return {
    run,
    ask,
    async runOutput(tool) {
      for await (const chunk of tool.process.stdout as AsyncIterable<Buffer>) await write(chunk);
    },
    async commit() {
      // Answered, so it did not fail; and the end of psql tells whether the commit did.
      await ask('SELECT true AS alive');
      await run('COMMIT');
      stdin.end();
      await ended;
    },
    async close() {
      if (psql.process.exitCode === null) psql.process.kill('SIGTERM');
      await ended.catch(() => {});
    },
  };
}
