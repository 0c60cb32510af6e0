import type { FailoverSettings } from '../failover-settings.ts';
import type { Operation } from './role.ts';

/** The message that asks for an approval, with the commands that answer it. */
export interface ApprovalMessage {
  readonly schemaVersion: 1;
  readonly workflow: 'approval';
  readonly operation: Operation;
  readonly database: string;
  readonly region: string;
  readonly execution: string;
  readonly reasons: readonly string[];
  readonly approve: string;
  readonly abort: string;
}

export function approvalMessage(asked: {
  settings: FailoverSettings;
  run: string;
  operation: Operation;
  reasons: readonly string[];
}): ApprovalMessage {
  const { settings, run, operation, reasons } = asked;
  const where = `${settings.database} --region ${settings.region} --run ${run}`;
  return {
    schemaVersion: 1,
    workflow: 'approval',
    operation,
    database: settings.database,
    region: settings.region,
    execution: run,
    reasons,
    approve: `pgdr approve ${where}`,
    abort: `pgdr abort ${where}`,
  };
}
