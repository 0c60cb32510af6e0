import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, track } from './harness.ts';

const settings = {
  database: 'orders',
  region: 'us-east-1',
  approvalSeconds: 3600,
  objectives: { rpoSeconds: 30, rtoSeconds: 60 },
};
const parameter = { Parameter: { Value: JSON.stringify(settings) } };
const request = { reason: 'x', dryRun: false, force: false, attest: null };
const payload = (value: Loose) => ({ Payload: value });
const failure = { error: 'FenceUnproven', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };

describe('failover', () => {
  const machine = loadMachine('failover');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const outcome = { workflow: 'failover', database: 'orders', ok: true };
  const answers: Answers = {
    'Read settings': parameter,
    'Take the lease': payload({ request, already: false, resumed: false }),
    'Look at both servers': payload({ observers: [] }),
    Decide: payload({ verdict: 'go', reasons: [] }),
    'Ask for approval': {},
    'Switch over': { Output: { epoch: 2 } },
    'Verify and record': { Output: outcome },
    'Give up': payload({ phase: 'fenced', started: true }),
    'Record failure': payload({ workflow: 'failover', database: 'orders', ok: false, failure }),
    'Announce failure': {},
  };
  const start = (changes: Answers = {}, input: Loose = { database: 'orders', reason: 'x' }): Promise<Run> =>
    tracker.watch(run(machine, input, { ...answers, ...changes }));

  test('looks, decides, switches and verifies, as one run', async () => {
    const result = await start();
    expect(result.path).toEqual([
      'Read settings',
      'Take the lease',
      'Is anything left to do',
      'Look at both servers',
      'Decide',
      'Choose the way',
      'Switch over',
      'Verify and record',
      'Done',
    ]);
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: outcome });
    expect(firstCall(result, 'Take the lease').Payload).toMatchObject({
      verb: 'begin',
      run: 'run.1',
      target: 'standby',
      request: { reason: 'x' },
    });
    expect(firstCall(result, 'Switch over').Input).toMatchObject({ run: 'run.1', target: 'standby', attest: null });
    expect(firstCall(result, 'Verify and record').Input.switched).toEqual({ epoch: 2 });
  });

  test('needs no name of a database where there is one alone', async () => {
    const name = firstCall(await start({}, {}), 'Read settings').Name;
    expect(name).toBe('/theSystem/databases/theOnlyDatabase/failover');
  });

  test('does nothing twice: what is done is verified, what crashed is carried on', async () => {
    const already = await start({ 'Take the lease': payload({ request, already: true, resumed: false }) });
    expect(already.path).not.toContain('Switch over');
    expect(firstCall(already, 'Verify and record').Input.switched).toBeNull();
    const resumed = await start({ 'Take the lease': payload({ request, already: false, resumed: true }) });
    expect(resumed.path).toContain('Switch over');
    expect(resumed.path).not.toContain('Decide');
  });

  test('only tells its plan in a dry run', async () => {
    const dry = { ...request, dryRun: true };
    const result = await start({ 'Take the lease': payload({ request: dry, already: false, resumed: false }) });
    expect(result.path.slice(-2)).toEqual(['Choose the way', 'Done']);
    expect(result.outcome).toMatchObject({ output: { dryRun: true, decision: { verdict: 'go' } } });
  });

  test('waits for a person where the evidence leaves doubt, and takes his word for a fence', async () => {
    const doubt = payload({ verdict: 'approve', reasons: ['why'] });
    const result = await start({ Decide: doubt, 'Ask for approval': { approved: true, attest: 'I pulled the plug' } });
    expect(firstCall(result, 'Ask for approval').Payload).toMatchObject({
      verb: 'ask',
      decision: { reasons: ['why'] },
    });
    expect(firstCall(result, 'Switch over').Input.attest).toBe('I pulled the plug');
    const denied = await start({ Decide: doubt, 'Ask for approval': fail('FailoverAborted') });
    expect(denied.path).not.toContain('Switch over');
    expect(denied.path).toContain('Give up');
  });

  test.each(['Look at both servers', 'Decide', 'Switch over', 'Verify and record'])(
    'lets go of everything when "%s" fails',
    async (step) => {
      const result = await start({ [step]: fail('FenceUnproven') });
      expect(result.path.slice(-4)).toEqual(['Give up', 'Record failure', 'Announce failure', 'Failover failed']);
      expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'FenceUnproven' });
    },
  );

  test.each(['Read settings', 'Take the lease'])(
    'holds nothing when "%s" fails, and lets go of nothing',
    async (step) => {
      expect((await start({ [step]: fail('FailoverInProgress') })).path).not.toContain('Give up');
    },
  );

  test.each(['Give up', 'Record failure', 'Announce failure'])('fails although "%s" fails too', async (step) => {
    const result = await start({ 'Switch over': fail('FenceUnproven'), [step]: fail('Lambda.Gone') });
    expect(result.outcome.status).toBe('FAILED');
  });
});

describe('failback', () => {
  const machine = loadMachine('failback');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const outcome = { workflow: 'failback', database: 'orders', ok: true };
  const answers: Answers = {
    'Read settings': parameter,
    'Take the lease': payload({ request, already: false, resumed: false }),
    'Back up the writer first': { Output: { id: 'b1', says: 'Backup b1 was taken and verified first.' } },
    'Prepare the old primary': { Output: { rejoin: { detail: 'rewound in 1.0 s' }, diverged: null } },
    'Ask for approval': {},
    'Switch over': { Output: { epoch: 3 } },
    'Verify and record': { Output: outcome },
    'Give up': payload({ phase: 'fenced', started: true }),
    'Record failure': payload({ workflow: 'failback', database: 'orders', ok: false, failure }),
    'Announce failure': {},
  };
  const start = (changes: Answers = {}): Promise<Run> =>
    tracker.watch(run(machine, { database: 'orders' }, { ...answers, ...changes }));

  test('rejoins the old primary before it switches to it', async () => {
    const result = await start();
    expect(result.path.slice(1, 3)).toEqual(['Back up the writer first', 'Take the lease']);
    expect(result.path.indexOf('Prepare the old primary')).toBeLessThan(result.path.indexOf('Switch over'));
    expect(firstCall(result, 'Verify and record').Input).toMatchObject({
      decision: { reasons: ['Backup b1 was taken and verified first.'] },
      prepared: { diverged: null },
    });
    expect(firstCall(result, 'Switch over').Input).toMatchObject({ target: 'primary', attest: null });
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: outcome });
  });
  test('waits for a person where one was asked for', async () => {
    const result = await start({
      'Take the lease': payload({ request: { ...request, approval: 'always' }, already: false, resumed: false }),
    });
    expect(result.path).toContain('Ask for approval');
    expect(result.outcome.status).toBe('SUCCEEDED');
  });
  test('does nothing twice, and nothing in a dry run', async () => {
    const lease = (changes: object) => ({
      'Take the lease': payload({ request, already: false, resumed: false, ...changes }),
    });
    expect((await start(lease({ already: true }))).path).not.toContain('Switch over');
    expect((await start(lease({ resumed: true }))).path).not.toContain('Prepare the old primary');
    expect((await start(lease({ request: { ...request, dryRun: true } }))).path.at(-1)).toBe('Done');
  });
  test.each(['Prepare the old primary', 'Switch over', 'Verify and record'])(
    'lets go of everything when "%s" fails',
    async (step) => {
      const result = await start({ [step]: fail('RejoinFailed') });
      expect(result.path.slice(-4)).toEqual(['Give up', 'Record failure', 'Announce failure', 'Failback failed']);
    },
  );
  test('lets go of everything when nobody approves', async () => {
    const always = payload({ request: { ...request, approval: 'always' }, already: false, resumed: false });
    const result = await start({ 'Take the lease': always, 'Ask for approval': fail('FailoverAborted') });
    expect(result.path).toContain('Give up');
  });
  test.each(['Read settings', 'Back up the writer first', 'Take the lease'])(
    'holds nothing when "%s" fails',
    async (step) => {
      expect((await start({ [step]: fail('FailoverInProgress') })).path).not.toContain('Give up');
    },
  );
  test.each(['Give up', 'Record failure', 'Announce failure'])('fails although "%s" fails too', async (step) => {
    expect((await start({ 'Switch over': fail('FenceUnproven'), [step]: fail('Lambda.Gone') })).outcome.status).toBe(
      'FAILED',
    );
  });
});

describe('failover-switch', () => {
  const machine = loadMachine('failover-switch');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const proof = { fence: 'stop', evidence: 'STOPPED' };
  const answers: Answers = {
    'Reserve the epoch': payload({ epoch: 2 }),
    'Fence the old writer': payload({ asked: true }),
    'Prove the fence': payload(proof),
    'Wait for its last word': payload({ waited: true }),
    'Pass the point of no return': payload({ epoch: 2 }),
    Promote: payload({ promotedAt: 1 }),
    'Move the name': payload({ writer: 'standby' }),
  };
  const start = (changes: Answers = {}): Promise<Run> =>
    tracker.watch(run(machine, { settings, run: 'a', target: 'standby', attest: null }, { ...answers, ...changes }));

  test('promotes after the fence is proven and the point of no return passed, and moves the name meanwhile', async () => {
    const result = await start();
    const order = result.path.indexOf('Prove the fence');
    expect(result.path.indexOf('Pass the point of no return')).toBeGreaterThan(order);
    expect(result.path.indexOf('Promote')).toBeGreaterThan(result.path.indexOf('Pass the point of no return'));
    expect(result.outcome).toMatchObject({
      output: { promotion: { promotedAt: 1 }, traffic: { writer: 'standby' }, fence: proof, epoch: 2 },
    });
  });

  test('waits for the last word of a writer that was stopped cleanly, and only then', async () => {
    expect((await start()).path).not.toContain('Wait for its last word');
    const clean = payload({ fence: 'clean-stop', evidence: 'last checkpoint 0/1' });
    const result = await start({ 'Prove the fence': clean });
    expect(result.path).toContain('Wait for its last word');
    expect(result.outcome.status).toBe('SUCCEEDED');
    const never = await start({ 'Prove the fence': clean, 'Wait for its last word': fail('StandbyUnusable') });
    expect(never.path).not.toContain('Pass the point of no return');
  });

  test.each(['Reserve the epoch', 'Fence the old writer', 'Prove the fence', 'Pass the point of no return'])(
    'promotes nothing when "%s" fails',
    async (step) => {
      const result = await start({ [step]: fail('FenceUnproven', 'why') });
      expect(result.path).not.toContain('Promote');
      expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'FenceUnproven', cause: 'why' });
    },
  );

  test('asks for the promotion again and again, since there is only forward', async () => {
    const result = await start({
      Promote: (_, attempt) => (attempt < 4 ? fail('PromotionFailed')() : payload({ promotedAt: 9 })),
    });
    expect(result.outcome.status).toBe('SUCCEEDED');
    const never = await start({ Promote: fail('FailoverSuperseded') });
    expect(never.outcome).toMatchObject({ status: 'FAILED', error: 'FailoverSuperseded' });
  });
});

describe('failover-verify', () => {
  const machine = loadMachine('failover-verify');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const outcome = { workflow: 'failover', database: 'orders', ok: true };
  const answers: Answers = {
    'Restart applications': payload({ applications: [] }),
    'Verify a write by name': payload({ name: 'orders.db.internal' }),
    'Verify the old primary': payload({ writable: false, detail: 'refused' }),
    'Let the old writer follow': payload({ told: false }),
    Record: payload(outcome),
    'Announce success': {},
  };
  const input = {
    settings,
    run: 'a',
    target: 'standby',
    operation: 'failover',
    database: 'orders',
    execution: {},
    decision: null,
    switched: null,
  };
  const start = (changes: Answers = {}): Promise<Run> => tracker.watch(run(machine, input, { ...answers, ...changes }));

  test('proves a write, and no write, and records', async () => {
    const result = await start();
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: outcome });
    expect(firstCall(result, 'Record').Payload).toMatchObject({ verb: 'finish', old: { detail: 'refused' } });
  });
  test('goes on without the applications and without an announcement', async () => {
    expect((await start({ 'Restart applications': fail('Lambda.Gone') })).outcome.status).toBe('SUCCEEDED');
    expect((await start({ 'Announce success': fail('SNS.Gone') })).outcome.status).toBe('SUCCEEDED');
    expect((await start({ 'Let the old writer follow': fail('Lambda.Gone') })).outcome.status).toBe('SUCCEEDED');
  });
  test.each(['Verify a write by name', 'Verify the old primary', 'Record'])('fails when "%s" does', async (step) => {
    expect((await start({ [step]: fail('OldPrimaryWritable') })).outcome).toMatchObject({
      error: 'OldPrimaryWritable',
    });
  });
});

describe('probe-replication', () => {
  const machine = loadMachine('probe-replication');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const probe = { writer: 'primary', epoch: 3, failures: 0, error: null };
  // The harness runs in eu-north-1.
  const here = (changes: object = {}) => ({
    'Read settings': {
      Parameter: { Value: JSON.stringify({ ...settings, region: 'eu-north-1', automatic: true, ...changes }) },
    },
  });
  const answers: Answers = {
    ...here(),
    'Let protection follow': payload({ writer: 'primary', epoch: 3, here: true }),
    'Keep the name': payload({ writer: 'primary' }),
    'Probe for a minute': payload(probe),
    'Start the failover': { ExecutionArn: 'arn' },
  };
  const start = (changes: Answers = {}): Promise<Run> =>
    tracker.watch(run(machine, { database: 'orders' }, { ...answers, ...changes }));
  const down = payload({ ...probe, failures: 3, error: 'refused' });

  test('keeps the name in the recovery region, and only observes elsewhere', async () => {
    expect((await start()).path).toContain('Keep the name');
    expect((await start(here({ region: 'us-east-1' }))).path).not.toContain('Keep the name');
    expect((await start({ 'Keep the name': fail('Lambda.Gone') })).outcome.status).toBe('SUCCEEDED');
  });
  test('lets protection follow the writer first, and probes whatever comes of it', async () => {
    expect(firstCall(await start(), 'Let protection follow').Payload.verb).toBe('follow');
    expect(firstCall(await start(), 'Probe for a minute').Payload.found).toMatchObject({ writer: 'primary', epoch: 3 });
    const alone = await start({ 'Let protection follow': fail('Lambda.Gone') });
    expect(firstCall(alone, 'Probe for a minute').Payload.found).toBeNull();
    expect(alone.outcome.status).toBe('SUCCEEDED');
  });
  test('starts the failover once for an epoch, where that is switched on', async () => {
    const result = await start({ 'Probe for a minute': down });
    expect(firstCall(result, 'Start the failover')).toMatchObject({
      Name: 'fo-orders-3-alarm',
      Input: { database: 'orders', startedBy: 'alarm' },
    });
    const again = await start({
      'Probe for a minute': down,
      'Start the failover': fail('StepFunctions.ExecutionAlreadyExistsException'),
    });
    expect(again.outcome.status).toBe('SUCCEEDED');
    for (const off of [here({ automatic: false }), here({ region: 'us-east-1' })])
      expect((await start({ ...off, 'Probe for a minute': down })).path).not.toContain('Start the failover');
  });
  test.each(['Read settings', 'Probe for a minute'])(
    'fails when "%s" does, so that silence raises the alarm',
    async (step) => {
      expect((await start({ [step]: fail('Lambda.Gone') })).outcome.status).toBe('FAILED');
    },
  );
});
