import type { Outcome } from '../../core/outcome.ts';
import { runByHand } from '../by-hand.ts';
import { loadConfiguration } from '../context.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { createOutput } from '../output.ts';
import { exits, renderOutcome, type WorkflowOptions, type WorkflowResult } from './workflow.ts';

export interface FromBucketOptions {
  readonly json?: boolean;
  readonly region?: string;
  readonly fromBucket: string;
  readonly targetSecret?: string;
}

/** `pgdr restore-test --from-bucket`: in a throwaway server on this machine. */
export function testFromBucket(
  database: string,
  options: WorkflowOptions & { readonly fromBucket: string },
): Promise<ExitCode> {
  if (options.physical) {
    throw new CliError('RequestInvalid', '--from-bucket is of logical backups: not with --physical.', {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
    });
  }
  return fromBucket('restore-test', database, options, { backupId: options.backup ?? null });
}

/** `--from-bucket`: the work of the task is done here, out of a bucket that is named, with nothing that is deployed. */
export async function fromBucket(
  job: 'restore' | 'restore-test',
  database: string,
  options: FromBucketOptions,
  input: object,
): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const config = await loadConfiguration();
  const { region = process.env.AWS_REGION, fromBucket: bucket, targetSecret } = options;
  output.line(`${job} of ${database} on this machine, from s3://${bucket}`);
  const began = Date.now();
  const done = await runByHand({ job, config, database, bucket, region, targetSecret, input }, output);
  const { rpo, rto } = config.databases.find(({ name }) => name === database)?.objectives ?? { rpo: 0, rto: 0 };
  const outcome = {
    [job === 'restore' ? 'restore' : 'proof']: done.output,
    objectives: { rpoSeconds: rpo, rtoSeconds: rto },
  } as unknown as Outcome;
  const { failure } = done;
  const result: WorkflowResult = {
    ok: failure === undefined,
    workflow: job,
    database,
    region: region ?? '',
    bucket,
    status: failure ? 'FAILED' : 'SUCCEEDED',
    seconds: (Date.now() - began) / 1000,
    ...(failure
      ? { error: { name: failure.error, message: failure.message, tryNext: failure.tryNext } }
      : { outcome, reports: done.reports }),
  };
  output.result(result, () => renderOutcome(result, output));
  return failure ? (exits[failure.error] ?? exitCode.failed) : exitCode.done;
}
