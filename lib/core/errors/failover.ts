import { entry, nothingMoved, pointPassed } from './entry.ts';

/** Failovers, failbacks and drills. */
export const failoverErrors = {
  FailoverInProgress: entry(
    'primary-down',
    'Another failover, failback or drill of this database is at work.',
    nothingMoved,
    'Follow the execution that it names. One that crashed gives its lease up after ten minutes; redrive it, or start again then.',
  ),
  FailoverSuperseded: entry(
    'primary-down',
    'Another execution has taken over the role item from this one.',
    'What the other execution does stands; this one stopped before its next step.',
    'Follow the execution that it names.',
  ),
  FailoverAborted: entry(
    'primary-down',
    'Somebody aborted before the point of no return.',
    'The writer is as it was; what a fence had stopped is started again.',
    'Nothing, if it was meant; otherwise start again.',
  ),
  FailoverRefused: entry(
    'primary-down',
    'The evidence forbids a promotion, whoever wants it.',
    nothingMoved,
    'Mend the standby that the reasons name; without one, restore a backup: docs/restores.md.',
  ),
  FailoverNotRunning: entry(
    'primary-down',
    'Nothing of this database is under way that could be approved or aborted.',
    nothingMoved,
    'Look at the executions of failover in the recovery region.',
  ),
  ApprovalDenied: entry(
    'primary-down',
    'The approval was refused, or nobody gave it in time.',
    nothingMoved,
    'Start again when it is wanted.',
  ),
  FenceUnproven: entry(
    'primary-down',
    'No configured fence could be proven, so the old primary might still accept writes.',
    'Nothing was promoted; the writer is as it was.',
    'Make sure by yourself that the old primary is off, then start again with --attest and what you saw.',
  ),
  PastNoReturn: entry(
    'primary-down',
    'The point of no return is passed: from here on there is only forward.',
    pointPassed,
    'Let it end. To go back, use failback afterwards.',
  ),
  PromotionFailed: entry(
    'primary-down',
    'The standby did not leave recovery in time, though it was asked again and again.',
    'The old writer is fenced; nothing accepts writes.',
    'Read the log of the standby, mend what it says, and redrive the execution: it goes on from here.',
  ),
  WriteNotVerified: entry(
    'primary-down',
    'The standby is promoted, but a write through the name of the database did not arrive there.',
    pointPassed,
    'Look at the name and its health check; applications may use the host of the standby meanwhile. Then redrive.',
  ),
  OldPrimaryWritable: entry(
    'primary-down',
    'The old primary accepts writes beside the new one.',
    'Every write that the new primary acknowledged stands.',
    'Stop the old primary now, keep its data directory, and compare what only it has.',
  ),
  StandbyUnusable: entry(
    'primary-down',
    'The server that is to take over does not stream, or lags too far behind.',
    nothingMoved,
    'See the replication-lag runbook; then start again.',
  ),
  RejoinFailed: entry(
    'primary-down',
    'The old primary could not be made a standby of the new one.',
    'The writer is untouched, and so is the evidence that was kept of the old data directory.',
    'Read the log of its agent, mend what it says, and start failback again.',
  ),
  DrillYielded: entry(
    'drill-failed',
    'A failover or failback of the database began, or was at work already, and a drill makes way for it.',
    'The servers are untouched: the drill had a copy of its own, which is gone.',
    'Nothing: the next drill is scheduled. Follow the failover.',
  ),
  DrillNotPossible: entry(
    'drill-failed',
    'The standby cannot be drilled with: it is the writer, cannot be reached, or could not be copied and followed.',
    'The servers are untouched: the drill had a copy of its own, which is gone.',
    'Mend what the message names; after a failover, fail back first. A failover now might meet the same.',
  ),
};
