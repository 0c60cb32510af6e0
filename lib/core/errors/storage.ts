import { backupStands, earlierBackups, entry, nothingStarted } from './entry.ts';

/** The bucket, its keys, and what lies in it. */
export const storageErrors = {
  AncestorMissing: entry(
    'restore',
    'A base backup is an increment, and a backup that it builds on is missing, was not verified, or has lost an object.',
    nothingStarted,
    'Recover from an earlier base backup (a point in time before this one chooses it by itself), and take a full one now: pgdr base-backup <database> --full.',
  ),
  StorageRefused: entry(
    'backup-failed',
    'S3 refused a request, after retries.',
    earlierBackups,
    'Check the S3 status, the role and key policies of the bucket, then run again.',
  ),
  CredentialsExpired: entry(
    'backup-failed',
    'The credentials of the role of a task have ended, and it got no new ones.',
    earlierBackups,
    'Look whether the role and its trust in ecs-tasks.amazonaws.com still exist, deploy the stack of the database, then run again.',
  ),
  EncryptionKeyRefused: entry(
    'encryption-key-refused',
    'KMS refused the use of the key that this database is encrypted with before it is stored.',
    'No stored object was changed; a backup left no manifest, and a restore removed nothing.',
    'Read what KMS says: a key that is disabled or due for deletion can be had back, a policy that denies can be corrected, an alias that is missing is made by deploying the key stack of this region.',
  ),
  EncryptionContextDiffers: entry(
    'encryption-key-refused',
    'An encrypted object was written for another database, backup or key than the one it lies under.',
    'Nothing of it was used; all stored objects are as they were.',
    'Treat it as tampering: use another backup, and look in the access log for who wrote the object.',
  ),
  DecryptionFailed: entry(
    'encryption-key-refused',
    'An encrypted object has the hash of the manifest, but cannot be decrypted to its end.',
    'Nothing of the frame that failed was used; all stored objects are as they were.',
    'Treat object and manifest as altered together: use another backup, and find out who wrote to the bucket.',
  ),
  ManifestConflict: entry(
    'backup-failed',
    'An object that is written once exists already with other content.',
    'The existing object was kept as it was.',
    'Treat it as tampering until explained: compare the two versions before anything is deleted.',
  ),
  RetentionPlanStale: entry(
    'retention-failed',
    'The plan of what may be removed is too old, or was only meant to be looked at.',
    'Nothing more was removed; what an earlier batch removed is marked as deleted and can be brought back.',
    'Start retention again: it makes a new plan.',
  ),
  BackupNotFound: entry(
    'restore-test-failed',
    'No backup with a manifest exists for this database.',
    nothingStarted,
    'Run a backup first, or check database, lineage and region.',
  ),
  ManifestInvalid: entry(
    'restore-test-failed',
    'The manifest is not one that pgdr wrote.',
    'Nothing was changed.',
    'Use another backup, and treat the object as altered until explained.',
  ),
  ObjectMissing: entry(
    'restore-test-failed',
    'An object that the manifest lists is not in the bucket.',
    'The manifest and all other objects are as they were.',
    'Use another backup; look for deletions in the access log. Deleted versions are recoverable while they are locked.',
  ),
  ObjectArchived: entry(
    'restore',
    'An object lies in a storage class from which it has to be brought back before it can be read.',
    'The object and all others are as they were.',
    'Bring back every object of the backup (`aws s3api restore-object --restore-request Days=7,GlacierJobParameters={Tier=Standard}`), wait 12 hours (48 from DEEP_ARCHIVE), and run it again; pgdr itself moves nothing to such a class.',
  ),
  ObjectTruncated: entry(
    'restore-test-failed',
    'An object is shorter or longer than the manifest says.',
    'The manifest and all other objects are as they were.',
    'Use another backup or the object version that the manifest names, and find out who wrote to the bucket.',
  ),
  ObjectAltered: entry(
    'restore-test-failed',
    'The bytes of an object do not have the hash that the manifest recorded.',
    'The manifest and all other objects are as they were.',
    'Use another backup or the object version that the manifest names, and find out who wrote to the bucket.',
  ),
  ArchiveUnreadable: entry(
    'restore-test-failed',
    'An archive has the right hash but cannot be read to its end.',
    backupStands,
    'Take a new backup now; this one never held what it should.',
  ),
};
