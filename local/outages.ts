/** `cut-off`: the region works within itself, but nothing passes its border. `down`: nothing in it works. */
export type RegionState = 'up' | 'cut-off' | 'down';

/** What can fail beside a region: the one place in which Route 53's API lives. Names are answered all the same. */
export const ROUTE53_CONTROL_PLANE = 'route53-control-plane';

/** Services that are told of no region live in this one, wherever a request is signed for. */
const GLOBAL_REGION = 'us-east-1';
const GLOBAL_SERVICES = new Set(['iam', 'route53']);

/** Which regions are up, and who reaches whom. */
export interface Outages {
  state(place: string): RegionState;
  /** @param place a region, or {@link ROUTE53_CONTROL_PLANE} */
  set(place: string, state: RegionState): void;
  /** Whether a caller in the region `from` (undefined: outside the cloud) reaches a service in the region `to`. */
  reachable(from: string | undefined, to: string, service?: string): boolean;
  /** Told of every change, after it has taken effect; returns the remover. */
  onChange(listener: (place: string, state: RegionState) => void): () => void;
}

export function createOutages(): Outages {
  const states = new Map<string, RegionState>();
  const listeners = new Set<(place: string, state: RegionState) => void>();
  const state = (place: string): RegionState => states.get(place) ?? 'up';

  return {
    state,
    set: (place, next) => {
      if (!['up', 'cut-off', 'down'].includes(next)) throw new Error(`No state of a region: ${next}.`);
      if (state(place) === next) return;
      states.set(place, next);
      for (const listener of listeners) listener(place, next);
    },
    reachable: (from, region, service) => {
      const to = GLOBAL_SERVICES.has(service ?? '') ? GLOBAL_REGION : region;
      if (service === 'route53' && state(ROUTE53_CONTROL_PLANE) !== 'up') return false;
      if (state(to) === 'down' || (from !== undefined && state(from) === 'down')) return false;
      if (from === to) return true;
      return state(to) === 'up' && (from === undefined || state(from) === 'up');
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
