import { about, type Finding, identifier } from './finding.ts';

/** Checks of what physical backups, the receipt of WAL and a standby need of a server. Pure. */

export interface ReplicationFacts {
  readonly versionNum: number;
  readonly role: string;
  readonly isReplication: boolean;
  readonly walLevel: string;
  readonly maxWalSenders: number;
  readonly walSenders: number;
  readonly maxSlots: number;
  readonly slots: number;
  /** `-1`: no limit. */
  readonly maxSlotWalKeepSize: string;
  /** Undefined before PostgreSQL 17. */
  readonly summarizeWal: boolean | undefined;
  readonly dataChecksums: boolean;
  readonly walLogHints: boolean;
  /** Undefined: it is not there yet. */
  readonly slot: { readonly active: boolean; readonly walStatus: string; readonly retainedBytes: number } | undefined;
  /** Whether a replication connection was let in; the reason where it was not. */
  readonly replicationProblem: string | undefined;
}

const reload = 'SELECT pg_reload_conf();';
const restart = (set: string) => `${set}   -- then restart the server`;

/** A base backup takes two connections, the receiver of WAL one. */
const sendersNeeded = 3;

/** @param incremental whether the configuration asks for incremental base backups */
export function judgeReplication(
  database: string,
  slot: string,
  incremental: boolean,
  facts: ReplicationFacts,
): Finding[] {
  const { ok, warning, failed } = about(`WAL of ${database}`);
  const role = identifier(facts.role);
  const found: Finding[] = [];
  found.push(
    facts.walLevel === 'minimal'
      ? failed('wal_level', 'minimal: WAL cannot be streamed', restart("ALTER SYSTEM SET wal_level = 'replica';"))
      : ok('wal_level', facts.walLevel),
  );
  // The slot that is active is a sender that is counted already.
  const needed = facts.slot?.active ? sendersNeeded - 1 : sendersNeeded;
  const free = facts.maxWalSenders - facts.walSenders;
  found.push(
    free >= needed
      ? ok('max_wal_senders', `${facts.walSenders} of ${facts.maxWalSenders} in use`)
      : failed(
          'max_wal_senders',
          `${facts.walSenders} of ${facts.maxWalSenders} in use, ${needed} more are needed`,
          restart(`ALTER SYSTEM SET max_wal_senders = ${facts.walSenders + needed + 2};`),
        ),
  );
  found.push(
    facts.isReplication
      ? ok('replication privilege', facts.role)
      : failed('replication privilege', `${facts.role} has it not`, `ALTER ROLE ${role} REPLICATION;`),
  );
  if (facts.isReplication) {
    found.push(
      facts.replicationProblem === undefined
        ? ok('replication connection', 'let in')
        : failed(
            'replication connection',
            facts.replicationProblem,
            `In pg_hba.conf: hostssl replication ${role} <addresses of the tasks> scram-sha-256`,
            reload,
          ),
    );
  }
  found.push(judgeSlot(database, slot, facts));
  found.push(
    facts.maxSlotWalKeepSize === '-1'
      ? warning(
          'max_slot_wal_keep_size',
          'no limit: while the receiver is away, WAL fills the disk of the server until it stops',
          "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';   -- what the disk can spare",
          reload,
        )
      : ok('max_slot_wal_keep_size', facts.maxSlotWalKeepSize),
  );
  if (facts.summarizeWal !== undefined && (facts.summarizeWal || incremental)) {
    found.push(
      facts.summarizeWal
        ? ok('summarize_wal', incremental ? 'on' : 'on: physical.base.fullEvery would make use of it')
        : failed(
            'summarize_wal',
            'off: physical.base.fullEvery asks for increments, and every base backup is a full one',
            'ALTER SYSTEM SET summarize_wal = on;',
            reload,
          ),
    );
  }
  found.push(
    facts.dataChecksums
      ? ok('data checksums', 'on')
      : warning(
          'data checksums',
          'off: a base backup copies a page that the disk damaged without anybody noticing',
          'pg_checksums --enable --pgdata "$PGDATA"   # with the server stopped, standbys too',
        ),
  );
  return found;
}

function judgeSlot(database: string, name: string, { slot, slots, maxSlots }: ReplicationFacts): Finding {
  const { ok, warning, failed } = about(`WAL of ${database}`);
  const check = `slot ${name}`;
  if (!slot) {
    return slots < maxSlots
      ? ok(check, `not there yet; the receiver makes it (${slots} of ${maxSlots} slots in use)`)
      : failed(
          check,
          `cannot be made: all ${maxSlots} slots are in use`,
          restart(`ALTER SYSTEM SET max_replication_slots = ${maxSlots + 5};`),
        );
  }
  const kept = `${Math.round(slot.retainedBytes / 1e6)} MB of WAL kept for it`;
  if (slot.walStatus === 'lost') {
    return failed(
      check,
      'lost: the server removed WAL that was not received',
      `SELECT pg_drop_replication_slot('${name}');   -- the receiver makes it anew`,
      `npx pgdr base-backup ${database}`,
    );
  }
  if (slot.walStatus === 'unreserved') return failed(check, `about to be lost; ${kept}`, 'See that the receiver runs');
  return slot.active
    ? ok(check, `active, ${kept}`)
    : warning(check, `nobody receives; ${kept}`, 'See that the receiver runs');
}

export interface StandbyFacts {
  readonly inRecovery: boolean;
  readonly hotStandby: boolean;
  /** State of its receiver, `streaming` when all is well; undefined: there is none, or the role may not see it. */
  readonly receiver: string | undefined;
  readonly walLogHints: boolean;
  readonly dataChecksums: boolean;
}

export function judgeStandby(database: string, role: string, facts: StandbyFacts): Finding[] {
  const { ok, failed } = about(`standby of ${database}`);
  if (!facts.inRecovery) {
    return [
      failed(
        'recovery',
        'it is no standby: it takes writes of its own',
        'Find out which of the two is the primary before anything else is done',
        'SELECT pg_is_in_recovery(), pg_control_checkpoint();   -- on both',
      ),
    ];
  }
  return [
    ok('recovery', 'it is a standby'),
    facts.hotStandby
      ? ok('hot_standby', 'on')
      : failed('hot_standby', 'off: it cannot be asked how far it is', restart('ALTER SYSTEM SET hot_standby = on;')),
    facts.receiver === 'streaming'
      ? ok('streaming', 'it streams from its primary')
      : failed(
          'streaming',
          facts.receiver ?? 'no receiver of WAL is to be seen',
          `GRANT pg_monitor TO ${identifier(role)};   -- on the primary, when the role may not see it`,
          'SHOW primary_conninfo;   -- and read the log of the standby',
        ),
    facts.walLogHints || facts.dataChecksums
      ? ok('pg_rewind', facts.dataChecksums ? 'data checksums are on' : 'wal_log_hints is on')
      : failed(
          'pg_rewind',
          'neither wal_log_hints nor data checksums: an old primary cannot be rewound, only copied anew',
          restart('ALTER SYSTEM SET wal_log_hints = on;'),
        ),
  ];
}
