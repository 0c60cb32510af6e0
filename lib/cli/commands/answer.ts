import { SendTaskFailureCommand, SendTaskSuccessCommand } from '@aws-sdk/client-sfn';
import { changeRole, readRole } from '../../aws/state-items.ts';
import { type Run, requestAbort } from '../../core/failover/role.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { openFailover } from '../failover-deployment.ts';
import { createOutput } from '../output.ts';

export interface AnswerOptions {
  readonly json?: boolean;
  readonly region?: string;
  /** The execution that is meant, as its message names it: an answer to an older question is no answer. */
  readonly run: string;
  readonly reason?: string;
  readonly attest?: string;
}

/** Lets a failover that waits for a person go on. */
export async function approve(database: string, { run: id, ...options }: AnswerOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { clients, items, close } = await openFailover(database, options.region);
  try {
    const { run } = await readRole(items);
    const { approval } = meant(run, id, database);
    if (approval === null) throw refused(`${id} waits for no approval.`);
    const answer = { approved: true, ...(options.attest && { attest: options.attest }) };
    await clients.sfn.send(new SendTaskSuccessCommand({ taskToken: approval, output: JSON.stringify(answer) }));
    output.result({ ok: true, database, run: id, approved: true }, () => `Approved: ${id} goes on.`);
    return exitCode.done;
  } finally {
    close();
  }
}

/** Ends a failover, failback or drill before its point of no return. */
export async function abort(database: string, { run: id, ...options }: AnswerOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { clients, items, close } = await openFailover(database, options.region);
  try {
    const why = options.reason ?? 'aborted by an operator';
    const before = meant((await readRole(items)).run, id, database);
    await changeRole(items, (role) => {
      meant(role.run, id, database);
      return requestAbort(role, why);
    });
    // Whoever waits for an approval hears of it at once, where the role may; else at its next step.
    if (before.approval !== null) {
      await clients.sfn
        .send(new SendTaskFailureCommand({ taskToken: before.approval, error: 'FailoverAborted', cause: why }))
        .catch(() => {});
    }
    output.result(
      { ok: true, database, run: id, aborted: true },
      () => `Asked ${id} to stop before its point of no return.`,
    );
    return exitCode.done;
  } finally {
    close();
  }
}

function meant(run: Run | null, id: string, database: string): Run {
  if (run?.id === id) return run;
  throw refused(run === null ? `Nothing of ${database} is under way.` : `${run.id} is under way, not ${id}.`);
}

const refused = (message: string) =>
  new CliError('FailoverNotRunning', message, {
    exit: exitCode.refused,
    intact: 'Nothing was changed.',
    tryNext: 'Take the command from the latest message, or follow the execution in the console.',
  });
