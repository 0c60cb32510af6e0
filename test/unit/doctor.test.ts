import { describe, expect, it } from 'vitest';
import { judgeAccount, judgeBootstrap, judgeQuotas, judgeSecret } from '../../lib/core/doctor/account.ts';
import { judgeBackup, judgeBucket, judgeSchedule } from '../../lib/core/doctor/deployment.ts';
import { shellWord } from '../../lib/core/doctor/finding.ts';
import { judgeReplication, judgeStandby, type ReplicationFacts } from '../../lib/core/doctor/replication.ts';
import { judgeContent, judgeServer, type ServerFacts } from '../../lib/core/doctor/server.ts';

/** The judgements of states that no server of a test is in; test/local/doctor.test.ts asks a real one. */

const server: ServerFacts = {
  versionNum: 170_004,
  role: 'backup"er',
  isReplication: false,
  tls: true,
  sslmode: 'verify-full',
  loopback: false,
  readsAll: true,
  available: ['amcheck', 'plpgsql'],
};
const replication: ReplicationFacts = {
  versionNum: 170_004,
  role: 'backup"er',
  isReplication: true,
  walLevel: 'replica',
  maxWalSenders: 10,
  walSenders: 1,
  maxSlots: 10,
  slots: 1,
  maxSlotWalKeepSize: '50GB',
  summarizeWal: true,
  dataChecksums: true,
  walLogHints: false,
  slot: { active: true, walStatus: 'reserved', retainedBytes: 0 },
  replicationProblem: undefined,
};
const states = (findings: readonly { check: string; state: string }[]) =>
  Object.fromEntries(findings.filter(({ state }) => state !== 'ok').map(({ check, state }) => [check, state]));

describe('the account and the regions', () => {
  it('another account than the deployed one fails', () => {
    const identity = { account: '111122223333', arn: 'arn:aws:iam::111122223333:user/a' };
    expect(states(judgeAccount({ identity, deployedAccount: '111122223333' }))).toEqual({});
    expect(states(judgeAccount({ identity, deployedAccount: '444455556666' }))).toEqual({ credentials: 'failed' });
    expect(states(judgeAccount({ identity: undefined, deployedAccount: undefined }))).toEqual({
      credentials: 'failed',
    });
  });

  it('an old bootstrap fails a deployment and warns of one', () => {
    const facts = { region: 'eu-north-1', account: '1', beforeDeploy: true };
    expect(judgeBootstrap({ ...facts, version: 30 }).state).toBe('ok');
    expect(judgeBootstrap({ ...facts, version: 5 }).state).toBe('failed');
    expect(judgeBootstrap({ ...facts, version: undefined, beforeDeploy: false }).state).toBe('warning');
  });

  it('what is needed beyond the quotas of every account is told, with the command that shows what is granted', () => {
    expect(states(judgeQuotas({ region: 'r', vcpu: 6, functions: 10 }))).toEqual({});
    const [vcpu] = judgeQuotas({ region: 'eu-north-1', vcpu: 6.5, functions: 10 });
    expect(vcpu).toMatchObject({ state: 'warning', found: expect.stringContaining('up to 6.5') });
    expect(vcpu?.mend[1]).toMatch(/L-3032A538 --desired-value 7$/);
  });

  it('a secret that is missing is only a warning where it is not needed yet', () => {
    const facts = { region: 'r', name: 'a/b', kind: 'slack', exists: false, problem: undefined } as const;
    expect(judgeSecret({ ...facts, neededNow: true }).state).toBe('failed');
    expect(judgeSecret({ ...facts, neededNow: false }).state).toBe('warning');
    expect(judgeSecret({ ...facts, exists: true, neededNow: true }).state).toBe('ok');
  });

  it('a bucket without versions, lock, or with another lock fails', () => {
    const wanted = { mode: 'COMPLIANCE', days: 30 };
    const facts = { region: 'r', bucket: 'b', exists: true, versioning: true, lock: wanted, wanted };
    expect(states(judgeBucket(facts))).toEqual({});
    expect(states(judgeBucket({ ...facts, versioning: false, lock: undefined }))).toEqual({
      versioning: 'failed',
      'Object Lock': 'failed',
    });
    expect(states(judgeBucket({ ...facts, lock: { mode: 'GOVERNANCE', days: 30 } }))).toEqual({
      'Object Lock': 'failed',
    });
    expect(states(judgeBucket({ ...facts, exists: false }))).toEqual({ bucket: 'failed' });
  });

  it('a schedule that is off fails where it has to run, and one that is on elsewhere is a warning', () => {
    const facts = { database: 'd', region: 'r', name: 's', group: 'g' };
    expect(judgeSchedule({ ...facts, state: 'DISABLED', wanted: 'ENABLED' }).state).toBe('failed');
    expect(judgeSchedule({ ...facts, state: 'ENABLED', wanted: 'DISABLED' }).state).toBe('warning');
    expect(judgeSchedule({ ...facts, state: undefined, wanted: 'DISABLED' }).state).toBe('failed');
    expect(judgeSchedule({ ...facts, state: 'DISABLED', wanted: 'DISABLED' }).state).toBe('ok');
  });

  it('a backup that is too old or never verified fails', () => {
    const facts = { database: 'd', region: 'r', newest: { id: 'b', verified: true }, intervalSeconds: 86_400 };
    expect(judgeBackup({ ...facts, verified: { id: 'b', ageSeconds: 90_000 } }).state).toBe('ok');
    expect(judgeBackup({ ...facts, verified: { id: 'b', ageSeconds: 100_000 } }).state).toBe('failed');
    expect(judgeBackup({ ...facts, newest: { id: 'b', verified: false }, verified: undefined }).state).toBe('failed');
    const before = { id: 'a', ageSeconds: 10 };
    expect(judgeBackup({ ...facts, newest: { id: 'b', verified: false }, verified: before }).state).toBe('warning');
  });
});

describe('a server', () => {
  const judge = (changes: Partial<ServerFacts>) =>
    states(judgeServer('orders', 's', 17, 17, { ...server, ...changes }));

  it('is well, or says what is not', () => {
    expect(judge({})).toEqual({});
    expect(judge({ tls: false, sslmode: 'disable' })).toEqual({ TLS: 'warning' });
    expect(judge({ sslmode: 'require' })).toEqual({ TLS: 'warning' });
    expect(judge({ tls: false, sslmode: 'disable', loopback: true })).toEqual({});
    expect(judge({ versionNum: 160_000 })).toEqual({ version: 'failed' });
    expect(judge({ available: [] })).toEqual({ amcheck: 'warning' });
  });

  it('quotes a role in the SQL to run', () => {
    const [, , future] = judgeServer('orders', 's', 17, 17, { ...server, readsAll: false });
    expect(future?.mend).toEqual(['GRANT pg_read_all_data TO "backup""er";']);
  });

  it('names the extensions that a restore test would lack', () => {
    const extensions = [
      { name: 'postgis', version: '3.4.0' },
      { name: 'pg_trgm', version: '1.6' },
    ];
    const content = { name: 'shop', extensions, refusal: undefined };
    const [, found] = judgeContent('orders', 'r', 170_000, content);
    expect(found).toMatchObject({ state: 'warning', found: expect.stringContaining('postgis 3.4.0') });
    expect(found?.found).not.toContain('pg_trgm');
  });
});

describe('WAL and standbys', () => {
  const judge = (changes: Partial<ReplicationFacts>, incremental = false) =>
    states(judgeReplication('orders', 'pgdr', incremental, { ...replication, ...changes }));

  it('each setting is judged', () => {
    expect(judge({})).toEqual({});
    expect(judge({ walLevel: 'minimal' })).toEqual({ wal_level: 'failed' });
    expect(judge({ maxWalSenders: 2 })).toEqual({ max_wal_senders: 'failed' });
    expect(judge({ maxSlotWalKeepSize: '-1' })).toEqual({ max_slot_wal_keep_size: 'warning' });
    expect(judge({ summarizeWal: false })).toEqual({});
    expect(judge({ summarizeWal: false }, true)).toEqual({ summarize_wal: 'failed' });
    expect(judge({ summarizeWal: true }, true)).toEqual({});
    expect(judge({ summarizeWal: undefined, dataChecksums: false })).toEqual({ 'data checksums': 'warning' });
    expect(judge({ replicationProblem: 'no pg_hba.conf entry' })).toEqual({ 'replication connection': 'failed' });
    expect(judge({ slot: undefined, slots: 10 })).toEqual({ 'slot pgdr': 'failed' });
    expect(judge({ slot: { active: false, walStatus: 'lost', retainedBytes: 0 } })).toEqual({ 'slot pgdr': 'failed' });
  });

  it('a standby has to stream and to be rewindable', () => {
    const facts = {
      inRecovery: true,
      hotStandby: true,
      receiver: 'streaming',
      walLogHints: true,
      dataChecksums: false,
    };
    expect(states(judgeStandby('orders', 'r', facts))).toEqual({});
    expect(states(judgeStandby('orders', 'r', { ...facts, walLogHints: false, receiver: undefined }))).toEqual({
      streaming: 'failed',
      pg_rewind: 'failed',
    });
  });
});

it('a word for the shell cannot become two', () => {
  expect(shellWord('pgdr/slack')).toBe('pgdr/slack');
  expect(shellWord("a'; rm -rf /")).toBe(`'a'\\''; rm -rf /'`);
});
