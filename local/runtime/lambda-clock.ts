/**
 * The cloud's clock in a function's process: `new Date()` and `Date.now()` follow it, so that the time stamps of
 * metrics and records are the cloud's. Timers, the monotonic clock and Lambda's own limits stay the machine's.
 */
const MachineDate = Date;

/** Milliseconds since the epoch on the machine's clock. */
export const machineNow: () => number = MachineDate.now.bind(MachineDate);

/** Less than this is what passing the message took. */
const TOLERANCE = 1000;

/** Lets Date show the cloud's time from now on. It is left alone while that is the machine's. */
export function setClock({ now, rate }: { readonly now: number; readonly rate: number }): void {
  const received = machineNow();
  if (rate === 1 && Math.abs(now - received) < TOLERANCE) {
    globalThis.Date = MachineDate;
    return;
  }
  const cloudNow = (): number => Math.floor(now + (machineNow() - received) * rate);
  globalThis.Date = new Proxy(MachineDate, {
    construct: (target, given, newTarget) =>
      Reflect.construct(target, given.length === 0 ? [cloudNow()] : given, newTarget),
    apply: () => new MachineDate(cloudNow()).toString(),
    get: (target, name, receiver) => (name === 'now' ? cloudNow : Reflect.get(target, name, receiver)),
  });
}
