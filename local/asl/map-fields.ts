import {
  type Check,
  checkFields,
  expressionOr,
  integer,
  isObject,
  member,
  payload,
  type Report,
  template,
} from './fields.ts';
import { readerResources } from './item-reader.ts';
import type { Json } from './types.ts';

/** Which fields a distributed Map may have besides those of an inline one. */

const oneOf =
  (choices: readonly string[], hint = ''): Check =>
  (value, path, report) => {
    if (typeof value !== 'string' || !choices.includes(value))
      report(path, `must be one of ${choices.join(', ')}${hint}`);
  };

const object =
  (fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check =>
  (value, path, report) =>
    checkFields(value, fields, required, path, report);

/** AWS's limits: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html */
const mostItems = 100_000_000;
const mostBatchBytes = 262_144;

const pointer: Check = (value, path, report) => {
  if (typeof value !== 'string' || !/^(\/([^~/]|~[01])*)*$/.test(value)) {
    report(path, 'must be a JSON pointer, such as /items');
  }
};

const percentage: Check = (value, path, report) => {
  if (typeof value !== 'number' || value < 0 || value > 100) report(path, 'must be a number from 0 to 100');
};

const label: Check = (value, path, report) => {
  if (typeof value !== 'string' || !/^[^\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]{1,40}$/u.test(value)) {
    report(path, 'must be 1 to 40 characters that a name may have');
  }
};

const itemReader = object(
  {
    Resource: oneOf(Object.keys(readerResources)),
    Arguments: payload,
    ReaderConfig: object({
      InputType: oneOf(['JSON', 'JSONL'], ': the others are not supported'),
      ItemsPointer: pointer,
      MaxItems: expressionOr(integer(0, mostItems)),
    }),
  },
  ['Resource', 'Arguments'],
);

const itemBatcher = object({
  MaxItemsPerBatch: expressionOr(integer(1, mostItems)),
  MaxInputBytesPerBatch: expressionOr(integer(1, mostBatchBytes)),
  BatchInput: template,
});

export const distributedFields: Readonly<Record<string, Check>> = {
  ItemReader: itemReader,
  ItemBatcher: itemBatcher,
  ToleratedFailureCount: expressionOr(integer(0, mostItems)),
  ToleratedFailurePercentage: expressionOr(percentage),
  Label: label,
};

/** `{"Mode": "INLINE"}`, or DISTRIBUTED, which says of which type its executions are. */
export const processorConfig: Check = (value, path, report) => {
  const fields = { Mode: oneOf(['INLINE', 'DISTRIBUTED']), ExecutionType: oneOf(['STANDARD', 'EXPRESS']) };
  checkFields(value, fields, ['Mode'], path, report);
  if (!isObject(value)) return;
  if (value.Mode === 'DISTRIBUTED' && value.ExecutionType === undefined) report(path, 'ExecutionType is missing');
  if (value.Mode === 'INLINE' && value.ExecutionType !== undefined) {
    report(member(path, 'ExecutionType'), 'belongs to DISTRIBUTED');
  }
};

export const isDistributedMap = (state: { readonly [key: string]: Json }): boolean =>
  isObject(state.ItemProcessor) &&
  isObject(state.ItemProcessor.ProcessorConfig) &&
  state.ItemProcessor.ProcessorConfig.Mode === 'DISTRIBUTED';

/** What the fields of a Map say together. */
export function checkMap(state: { readonly [key: string]: Json }, path: string, report: Report): void {
  if (state.ItemReader !== undefined && state.Items !== undefined) {
    report(member(path, 'Items'), 'cannot stand beside ItemReader');
  }
  const { ItemBatcher: batcher } = state;
  if (isObject(batcher) && batcher.MaxItemsPerBatch === undefined && batcher.MaxInputBytesPerBatch === undefined) {
    report(member(path, 'ItemBatcher'), 'must have MaxItemsPerBatch or MaxInputBytesPerBatch');
  }
  if (isDistributedMap(state)) return;
  for (const field of Object.keys(distributedFields)) {
    if (field in state) report(member(path, field), 'belongs to a DISTRIBUTED ItemProcessor');
  }
}
