import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliError } from '../../lib/cli/errors.ts';
import { latestProof } from '../../lib/cli/evidence.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { faults, runFault } from '../../lib/cli/rehearse/faults/index.ts';
import { openRunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { type Rehearsal, startRehearsal } from '../../lib/cli/rehearse/rehearsal.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { tablesOf } from '../../lib/core/proof.ts';

/**
 * Everything that can go wrong, done for real, one after another to one rehearsal: each must end by its name, be told
 * everywhere, and leave nothing behind. The data is large enough for multipart uploads, in which some faults strike.
 */

const run = openRunDirectory(join(workDirectory, 'rehearse'), `faults-${process.pid}`);
const postgres = providePostgres(() => {});
let rehearsal: Rehearsal;

beforeAll(async () => {
  rehearsal = await startRehearsal({
    postgres,
    directory: run.path,
    size: 80_000_000,
    steps: createSteps(createOutput(true)),
  });
});

afterAll(async () => {
  await rehearsal?.stop();
  run.close();
});

const impossible = (fault: (typeof faults)[number]): unknown => {
  try {
    fault.requirePossible?.(postgres);
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('a backup that fails', () => {
  it.each(faults.filter(({ workflow }) => workflow === 'backup-logical'))(
    '$name ends in $expectedError',
    async (fault) => {
      const reason = impossible(fault);
      if (reason !== undefined) {
        // Only client-older depends on the machine: with the newest tools no server is newer.
        expect(reason).toBeInstanceOf(CliError);
        expect([fault.name, postgres.major]).toEqual(['client-older', 18]);
        return;
      }
      const { result } = await runFault(rehearsal, fault);
      expect(result.checks.filter((check) => !check.ok)).toEqual([]);
      expect(result.held).toBe(true);
    },
  );
});

describe('a restore test that fails', () => {
  it.each(faults.filter(({ workflow }) => workflow === 'restore-test'))(
    '$name ends in $expectedError',
    async (fault) => {
      const backup = await rehearsal.run('backup-logical');
      expect(backup.failure).toBeUndefined();
      const began = new Date();
      const { result } = await runFault(rehearsal, fault);
      expect(result.checks.filter((check) => !check.ok)).toEqual([]);
      // The report says which table differs, and that all the others do not.
      const proof = await latestProof(rehearsal.clients, rehearsal.settings, began);
      expect(proof?.report).toMatchObject({ level: 'L3', holds: false, backupId: backup.outcome?.backup?.id });
      const unequal =
        proof &&
        tablesOf(proof.report)
          .filter((table) => !table.hashesEqual)
          .map(({ relation }) => relation);
      expect(unequal).toEqual(['public.customers']);
    },
  );
});

describe('after all of that', () => {
  it('a backup succeeds, and is proven', async () => {
    const backup = await rehearsal.run('backup-logical');
    expect(backup.failure).toBeUndefined();
    const restore = await rehearsal.run('restore-test');
    expect(restore.failure).toBeUndefined();
    expect(restore.outcome?.proof).toMatchObject({
      level: expect.stringMatching(/^L[45]$/),
      backupId: backup.outcome?.backup?.id,
    });
  });

  it('the application was never in the way, nor was anything in its way', async () => {
    expect(await rehearsal.writeLoad?.stop()).toBeGreaterThan(100);
    expect(rehearsal.webhook.refused).toEqual([]);
  });
});
