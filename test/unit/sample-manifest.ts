import {
  type DatabaseBackup,
  type DatabaseRecord,
  databasesOf,
  type Manifest,
  type ManifestObject,
} from '../../lib/core/manifest.ts';

/** A valid manifest to vary in tests. */
export function sampleManifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    schemaVersion: 1,
    kind: 'logical',
    id: '20261121T020000Z-4f2a9c',
    parentId: null,
    system: 'acme',
    database: 'orders',
    lineage: 'main',
    adhoc: false,
    systemIdentifier: '7710430340928420093',
    serverVersionNum: 170010,
    timeline: 1,
    toolVersion: 'pg_dump (PostgreSQL) 17.10',
    startLsn: '0/155DE08',
    stopLsn: '0/155DF00',
    startedAt: '2026-11-21T02:00:00Z',
    stoppedAt: '2026-11-21T02:01:00.123456Z',
    roles: [{ name: 'shop', attributes: ['inherit', 'login'], memberOf: ['pg_read_all_data'] }],
    databases: [sampleRecord()],
    objects: [sampleObject('main.dump.zst', [5, 3])],
    skipped: [],
    lockUntil: null,
    ...changes,
  };
}

/** What the sample holds of its one database. */
export function sampleRecord(changes: Partial<DatabaseRecord> = {}): DatabaseRecord {
  return {
    name: 'orders',
    encoding: 'UTF8',
    collation: 'C',
    ctype: 'C',
    collationVersion: null,
    extensions: [],
    selection: null,
    snapshot: { lsn: '0/155DE08', takenAt: '2026-11-21T02:00:01.000001Z' },
    tables: [{ relation: 'public.customers', rows: '2', hash1: '-46153345276430474260', hash2: '7', columns: 'ab' }],
    sequences: [{ sequence: 'public.customers_id_seq', lastValue: '2', isCalled: true, direction: 'up' }],
    materializedViews: [],
    inventory: { table: 1, index: 1 },
    grants: [{ object: 'table public.customers', privileges: ['SELECT to shop'] }],
    owners: { postgres: 3 },
    settings: [{ scope: 'database', name: 'work_mem', value: '8MB' }],
    defects: { constraintsNotValidated: [], indexesInvalid: [], sequencesBehind: [] },
    ...changes,
  };
}

/** That database as a restore or a proof takes it. */
export function sampleDatabase(changes: Partial<DatabaseBackup> = {}): DatabaseBackup {
  const [database] = databasesOf(sampleManifest());
  return { ...(database as DatabaseBackup), ...changes };
}

/** An object whose parts have these sizes in bytes. */
export function sampleObject(key: string, partBytes: readonly number[]): ManifestObject {
  const sha256 = 'ab'.repeat(32);
  const bytes = partBytes.reduce((a, b) => a + b, 0);
  return { key, role: 'main', bytes, rawBytes: bytes * 3, sha256, parts: partBytes.map((b) => ({ bytes: b, sha256 })) };
}
