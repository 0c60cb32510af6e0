/**
 * The layout of the backup bucket. It is write-once: no key below is ever written a second time, so Object Lock,
 * versioning and replication have nothing to disagree about.
 *
 *     {system}/{database}/{lineage}/logical/{backupId}/manifest.json      the commit: without it nothing else counts
 *                                                      schema.dump.zst · main.dump.zst · tables/{n}.dump.zst
 *                                                      globals.sql.zst · fingerprint.json · verification.json
 *     {system}/{database}/{lineage}/proofs/{proofId}.json · {proofId}.html
 */

/** Where one history of one database is kept. A lineage is named by the operator: clones share a system identifier. */
export interface Lineage {
  readonly system: string;
  readonly database: string;
  readonly lineage: string;
}

export const databasePrefix = ({ system, database }: Omit<Lineage, 'lineage'>): string => `${system}/${database}/`;
export const lineagePrefix = (of: Lineage): string => `${databasePrefix(of)}${of.lineage}/`;
export const logicalPrefix = (of: Lineage): string => `${lineagePrefix(of)}logical/`;

/** The folder of one backup, with its trailing slash. */
export const backupPrefix = (of: Lineage, backupId: string): string => `${logicalPrefix(of)}${backupId}/`;

export const manifestKey = (prefix: string): string => `${prefix}manifest.json`;
export const verificationKey = (prefix: string): string => `${prefix}verification.json`;
export const fingerprintKey = (prefix: string): string => `${prefix}fingerprint.json`;
export const schemaKey = (prefix: string): string => `${prefix}schema.dump.zst`;
export const mainKey = (prefix: string): string => `${prefix}main.dump.zst`;
export const tableKey = (prefix: string, n: number): string => `${prefix}tables/${n}.dump.zst`;
export const globalsKey = (prefix: string): string => `${prefix}globals.sql.zst`;

export const proofKey = (of: Lineage, proofId: string, extension: 'json' | 'html'): string =>
  `${lineagePrefix(of)}proofs/${proofId}.${extension}`;

/** The folder of the backup whose manifest this is. */
export const prefixOfManifest = (key: string): string => key.slice(0, key.lastIndexOf('/') + 1);

/**
 * An id that sorts by time and cannot meet another: `20261121T020000Z-4f2a9c`.
 * It is made anew by each attempt, so a retried task never writes under the keys of the one before.
 */
export function timeOrderedId(at: Date, random: string): string {
  return `${at.toISOString().replace(/[-:]|\.\d+/g, '')}-${random}`;
}

/** S3 takes 10,000 parts at most; the estimate may be wrong by a fifth and still fit in 9,000. */
export function partBytesFor(estimatedBytes: number): number {
  const smallest = 16 * 1024 * 1024;
  return Math.max(smallest, Math.ceil((estimatedBytes * 1.2) / 9000));
}
