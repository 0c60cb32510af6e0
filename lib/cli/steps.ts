import { humanSeconds } from '../core/human.ts';
import type { Output } from './output.ts';
import type { StateWatcher } from './states.ts';

/** Steps of something long, shown as they begin and end, and kept for the report. */

export interface StepRecord {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** Seconds since the beginning of the whole. */
  readonly offset: number;
  /** Which part of the whole it belongs to: `prepare`, `backup-logical`, `restore-test`. */
  readonly group: string;
  /** Inside a Map. */
  readonly inner?: boolean;
  readonly detail?: string;
}

export interface Steps {
  readonly records: readonly StepRecord[];
  /** Runs one step of our own; `say` sets what is shown beside its time. */
  run<T>(name: string, work: (say: (detail: string) => void) => Promise<T> | T): Promise<T>;
  /** Shows the states of an execution as steps. */
  watch(group: string): StateWatcher;
}

export function createSteps(output: Output, began: number = Date.now()): Steps {
  const records: StepRecord[] = [];
  const clock = (at = Date.now()) => output.paint('dim', `${((at - began) / 1000).toFixed(1).padStart(6)} s`);

  const end = (record: StepRecord): void => {
    records.push(record);
    const sign = record.ok ? output.paint('good', '✓') : output.paint('bad', '✗');
    const name = record.name.padEnd(26);
    const detail = record.detail ? `  ${output.paint(record.ok ? 'dim' : 'bad', record.detail)}` : '';
    output.line(
      `${clock()}  ${record.inner ? '  ' : ''}${sign} ${name} ${humanSeconds(record.seconds).padStart(9)}${detail}`,
    );
  };

  return {
    records,
    async run(name, work) {
      const started = Date.now();
      let detail: string | undefined;
      const show = () => output.transient(`${clock()}  … ${name} ${detail ?? ''}`);
      show();
      const done = (ok: boolean, problem?: string): void =>
        end({
          name,
          ok,
          group: 'prepare',
          seconds: (Date.now() - started) / 1000,
          offset: (started - began) / 1000,
          ...((problem ?? detail) && { detail: problem ?? detail }),
        });
      try {
        const result = await work((text) => {
          detail = text;
          show();
        });
        done(true);
        return result;
      } catch (error) {
        done(false, (error as Error).message.split('\n')[0]);
        throw error;
      }
    },
    watch: (group) => {
      let current = '';
      return {
        entered(name, at, inner) {
          current = `${inner ? '  ' : ''}… ${name}`;
          output.transient(`${clock(at.getTime())}  ${current}`);
        },
        progress(text) {
          output.transient(`${clock()}  ${current} ${text}`);
        },
        left(step) {
          const { name, ok, seconds, inner, error } = step;
          const offset = (Date.parse(step.startedAt) - began) / 1000;
          end({ name, ok, seconds, offset, group, ...(inner && { inner }), ...(error && { detail: error }) });
        },
      };
    },
  };
}
