import type { WalArchive, WalObject } from '../wal-archive.ts';
import type { PhysicalBackup } from './backups.ts';

/** What of the WAL may go. `.history` objects, gaps and restore points are small, tell the story, and always stay. */

export interface ExpiredWal {
  readonly object: WalObject;
  readonly reason: 'before the oldest kept base backup' | 'its segment is stored whole';
}

/**
 * WAL may go when it ends before the start of every base backup that stays, and none of them reads its timeline from
 * there on. With no base backup nothing goes: the first may be under way. Timelines that a kept backup's history
 * branches into stay whole.
 */
export function expiredWal(archive: WalArchive, kept: readonly PhysicalBackup[]): ExpiredWal[] {
  if (kept.length === 0) return [];
  const oldest = kept.reduce((least, { startLsn }) => (startLsn < least ? startLsn : least), kept[0]?.startLsn ?? 0n);
  return [...archive.objects.values()].flat().flatMap((object): ExpiredWal[] => {
    if (object.end <= oldest) return [{ object, reason: 'before the oldest kept base backup' }];
    const whole = archive.bySegment.get(object.segment)?.some(({ kind }) => kind === 'segment');
    return object.kind === 'part' && whole ? [{ object, reason: 'its segment is stored whole' }] : [];
  });
}
