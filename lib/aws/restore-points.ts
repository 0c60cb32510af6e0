import { type Lineage, walPointsPrefix } from '../core/keys.ts';
import { parsePoint, type RestorePoint } from '../core/restore-points.ts';
import { getText, list, type ObjectStore } from './object-store.ts';

/** One object each has to be read: of more, the newest are. A name that is left out is looked for in the WAL. */
const mostRead = 1000;
const readsAtATime = 16;

/** The restore points that receivers wrote down, of all timelines. */
export async function readRestorePoints(store: ObjectStore, lineage: Lineage): Promise<RestorePoint[]> {
  const keys = (await Array.fromAsync(list(store, walPointsPrefix(lineage)))).slice(-mostRead);
  const points: RestorePoint[] = [];
  for (let i = 0; i < keys.length; i += readsAtATime) {
    const texts = await Promise.all(keys.slice(i, i + readsAtATime).map((key) => getText(store, key)));
    for (const text of texts) {
      const point = parsePoint(text);
      if (point) points.push(point);
    }
  }
  return points;
}
