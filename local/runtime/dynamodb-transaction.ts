import { AwsError } from '../facade.ts';
import type { DynamoStore } from './dynamodb-store.ts';

type Kind = 'Put' | 'Update' | 'Delete' | 'ConditionCheck';

/** One item of TransactWriteItems. */
export interface TransactItem {
  readonly kind: Kind;
  /** Its parameters, with the table's plain name. */
  readonly input: any;
  readonly key: Readonly<Record<string, unknown>>;
}

const MAX_ITEMS = 100;

/** The operation that carries out each kind, and the permission that it takes. */
export const OPERATIONS: Readonly<Record<Kind, { readonly operation: string; readonly action: string }>> = {
  Put: { operation: 'PutItem', action: 'PutItem' },
  Update: { operation: 'UpdateItem', action: 'UpdateItem' },
  Delete: { operation: 'DeleteItem', action: 'DeleteItem' },
  // A deletion under the same condition, which is taken back.
  ConditionCheck: { operation: 'DeleteItem', action: 'ConditionCheckItem' },
};

/** Reads TransactItems; `keysOf` gives the key attributes of a table. @throws AwsError ValidationException */
export function readTransactItems(given: unknown, keysOf: (table: string) => readonly string[]): TransactItem[] {
  const items = Array.isArray(given) ? given : [];
  if (items.length < 1 || items.length > MAX_ITEMS)
    throw new AwsError('ValidationException', `TransactItems must have 1 to ${MAX_ITEMS} members.`);
  const read = items.map((item): TransactItem => {
    const [kind, ...others] = Object.keys(item);
    if (kind === undefined || others.length > 0 || !Object.hasOwn(OPERATIONS, kind))
      throw new AwsError('ValidationException', 'TransactItems can only contain one of Check, Put, Update or Delete');
    const input = item[kind];
    const holder = kind === 'Put' ? input.Item : input.Key;
    const keys = keysOf(input.TableName);
    return { kind: kind as Kind, input, key: Object.fromEntries(keys.map((name) => [name, holder?.[name]])) };
  });
  const seen = new Set(read.map(({ input, key }) => JSON.stringify([input.TableName, key])));
  if (seen.size < read.length)
    throw new AwsError('ValidationException', 'Transaction request cannot include multiple operations on one item');
  return read;
}

/**
 * Carries out all items or none. The store does one at a time and nothing else meanwhile: what was done is taken
 * back when one fails.
 *
 * @throws AwsError TransactionCanceledException with a reason for each item, or the error of a malformed one
 */
export async function transact(call: DynamoStore['call'], items: readonly TransactItem[]): Promise<void> {
  const reasons: Record<string, unknown>[] = [];
  const done: { item: TransactItem; before: unknown }[] = [];
  let malformed: unknown;
  for (const item of items) {
    const { kind, input, key } = item;
    const { ReturnValuesOnConditionCheckFailure: wanted, ...parameters } = input;
    const { Item: before } = await call('GetItem', { TableName: input.TableName, Key: key, ConsistentRead: true });
    try {
      await call(OPERATIONS[kind].operation, parameters);
      done.push({ item, before });
      reasons.push({ Code: 'None' });
    } catch (error) {
      const { code, message } = error as AwsError;
      if (code === 'ConditionalCheckFailedException') {
        const Item = wanted === 'ALL_OLD' ? before : undefined;
        reasons.push({ Code: 'ConditionalCheckFailed', Message: message, Item });
      } else if (code === 'ValidationException') reasons.push({ Code: 'ValidationError', Message: message });
      else malformed ??= error;
    }
  }
  const failed = reasons.some(({ Code }) => Code !== 'None');
  for (const { item, before } of done) {
    if (failed || malformed || item.kind === 'ConditionCheck') await restore(call, item, before);
  }
  if (malformed) throw malformed;
  if (!failed) return;
  const codes = reasons.map(({ Code }) => Code).join(', ');
  throw new AwsError(
    'TransactionCanceledException',
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
    400,
    { CancellationReasons: reasons },
  );
}

async function restore(call: DynamoStore['call'], { input, key }: TransactItem, before: unknown): Promise<void> {
  const { TableName } = input;
  if (before === undefined) await call('DeleteItem', { TableName, Key: key });
  else await call('PutItem', { TableName, Item: before });
}
