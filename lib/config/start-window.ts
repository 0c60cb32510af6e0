/** From so many databases on, starts are spread without being asked for. */
const manyDatabases = 10;
const standardWindow = 30 * 60;

/**
 * Minutes within which EventBridge starts a run, at a moment of its choosing; 0: at the very minute. Never more than a
 * twelfth of the interval between two runs, which is what alarms of age allow a run to be late.
 */
export function startWindowMinutes(
  config: { readonly startWindow?: number; readonly databases: readonly unknown[] },
  intervalSeconds: number,
): number {
  const asked = config.startWindow ?? (config.databases.length > manyDatabases ? standardWindow : 0);
  return Math.floor(Math.min(asked, intervalSeconds / 12) / 60);
}
