import { describe, expect, it } from 'vitest';
import { describeFailure, errorCatalogue, PgdrError, toFailure } from '../../lib/core/errors.ts';
import { humanBytes, humanSeconds } from '../../lib/core/human.ts';
import { backupPrefix, manifestKey, partBytesFor, prefixOfManifest, timeOrderedId } from '../../lib/core/keys.ts';
import { parseManifest } from '../../lib/core/manifest.ts';
import { parseSettings } from '../../lib/core/settings.ts';
import { fromStateFailure } from '../../lib/core/state-failure.ts';
import { sampleManifest, sampleRecord } from './sample-manifest.ts';

describe('keys', () => {
  it('sort by time, and lead from a manifest back to its folder', () => {
    const early = timeOrderedId(new Date('2026-11-21T02:00:00.999Z'), 'ffffff');
    const late = timeOrderedId(new Date('2026-11-21T02:00:01Z'), '000000');
    expect(early).toBe('20261121T020000Z-ffffff');
    expect(early < late).toBe(true);
    const prefix = backupPrefix({ system: 'acme', database: 'orders', lineage: 'main' }, early);
    expect(prefix).toBe('acme/orders/main/logical/20261121T020000Z-ffffff/');
    expect(prefixOfManifest(manifestKey(prefix))).toBe(prefix);
  });

  it('choose parts so that an object of the estimated size, and a fifth more, fits in 10,000', () => {
    expect(partBytesFor(1)).toBe(8 * 1024 ** 2);
    const estimate = 40 * 1024 ** 4;
    expect((estimate * 1.2) / partBytesFor(estimate)).toBeLessThanOrEqual(9000);
  });
});

describe('manifest', () => {
  it('is read back as it was written', () => {
    const manifest = sampleManifest();
    expect(parseManifest(JSON.stringify(manifest), 'm')).toEqual(manifest);
  });

  it.each([
    ['not JSON', '{', /m is not JSON/],
    ['another version', JSON.stringify({ ...sampleManifest(), schemaVersion: 2 }), /schemaVersion/],
    ['no objects', JSON.stringify({ ...sampleManifest(), objects: [] }), /objects/],
    [
      'a hash that is none',
      JSON.stringify(
        sampleManifest({
          databases: [
            sampleRecord({ tables: [{ relation: 'public.a', rows: '1', hash1: 'x', hash2: '0', columns: '' }] }),
          ],
        }),
      ),
      /tables\.0\.hash1/,
    ],
  ])('refuses %s, naming the field', (_, text, message) => {
    expect(() => parseManifest(text, 'm')).toThrow(message);
    expect(() => parseManifest(text, 'm')).toThrow(expect.objectContaining({ name: 'ManifestInvalid' }));
  });
});

describe('settings', () => {
  it('are refused with the field that is wrong', () => {
    expect(() => parseSettings({ schemaVersion: 1 })).toThrow(/settings\.system/);
  });
});

describe('errors', () => {
  it('say for every name what happened, what is intact and what to try', () => {
    for (const [name, entry] of Object.entries(errorCatalogue)) {
      expect(name).toMatch(/^[A-Z][A-Za-z]+$/);
      for (const text of [entry.meaning, entry.intact, entry.tryNext]) expect(text).toMatch(/^(pg_|[A-Z]).*\.$/s);
    }
  });

  it('keep their name, and fold the unknown into Unexpected', () => {
    expect(toFailure(new PgdrError('DumpFailed', 'pg_dump was killed'))).toMatchObject({
      error: 'DumpFailed',
      message: 'pg_dump was killed',
    });
    expect(toFailure(new TypeError('x is undefined'))).toMatchObject({
      error: 'Unexpected',
      message: 'TypeError: x is undefined',
    });
  });

  it('fit in the cause of a failed state however long the message', () => {
    expect(JSON.stringify(describeFailure('Unexpected', 'x'.repeat(100_000))).length).toBeLessThan(4000);
  });
});

describe('a failed state', () => {
  const of = (name?: string, cause?: string) =>
    fromStateFailure('backup-logical', { step: 'Take backup', errorOutput: { Error: name, Cause: cause } });

  it.each([
    [
      'DumpFailed',
      JSON.stringify({ error: 'DumpFailed', message: 'pg_dump exited with 1' }),
      'DumpFailed',
      'pg_dump exited with 1',
    ],
    [
      'ObjectAltered',
      JSON.stringify({ errorType: 'ObjectAltered', errorMessage: 'k part 2' }),
      'ObjectAltered',
      'k part 2',
    ],
    [
      'States.HeartbeatTimeout',
      undefined,
      'TaskUnresponsive',
      'States.HeartbeatTimeout: no heartbeat came within heartbeatTimeout, or the state ran over its timeout',
    ],
    ['Ssm.ParameterNotFoundException', 'not found', 'UnknownDatabase', 'Ssm.ParameterNotFoundException: not found'],
    ['States.TaskFailed', '{"StoppedReason":"x"}', 'TaskFailed', 'States.TaskFailed: {"StoppedReason":"x"}'],
    ['ECS.AccessDeniedException', 'no', 'TaskFailed', 'ECS.AccessDeniedException: no'],
    ['TypeError', JSON.stringify({ errorMessage: 'boom' }), 'Unexpected', 'TypeError: boom'],
    [undefined, undefined, 'Unexpected', 'unknown error'],
  ])('%s is told in the words of the catalogue', (error, cause, name, message) => {
    expect(of(error, cause)).toMatchObject({ step: 'Take backup', error: name, message });
  });

  it('sends to the runbook of its workflow', () => {
    const altered = { step: 'Verify objects', errorOutput: { Error: 'ObjectAltered', Cause: '{}' } };
    expect(fromStateFailure('backup-logical', altered).runbook).toBe('docs/runbooks/backup-failed.md');
    expect(fromStateFailure('restore-test', altered).runbook).toBe('docs/runbooks/restore-test-failed.md');
  });

  it('of an input without a database says what to start it with', () => {
    const failed = { step: 'Read settings', errorOutput: { Error: 'States.QueryEvaluationError', Cause: 'undefined' } };
    expect(fromStateFailure('backup-logical', failed)).toMatchObject({
      error: 'InputInvalid',
      tryNext: expect.stringContaining('"database"'),
    });
  });

  it('hands on the proof that did not hold', () => {
    const cause = JSON.stringify({ message: 'content', proof: { level: 'L3' } });
    expect(of('ContentDiffers', cause).proof).toEqual({ level: 'L3' });
  });
});

describe('numbers for people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [209_790_108, '209.8 MB'],
  ])('%d bytes', (bytes, text) => expect(humanBytes(bytes)).toBe(text));
  it.each([
    [0.04, '0.0 s'],
    [4.25, '4.3 s'],
    [30, '30 s'],
    [59.7, '59.7 s'],
    [273_600, '3 d 4 h'],
    [125, '2 min 5 s'],
    [7300, '2 h 1 min'],
    [3600, '1 h'],
    [30 * 86_400, '30 d'],
  ])('%d seconds', (seconds, text) => expect(humanSeconds(seconds)).toBe(text));
});
