import { NormalizedSchema } from '@smithy/core/schema';
import { runtimeError, StatesError } from './errors.ts';
import type { Json } from './types.ts';

/**
 * Names of members. In Arguments and results Step Functions writes every API's members in PascalCase, whatever the
 * API itself does: ECS's `taskDefinition` is `TaskDefinition`, S3's `ETag` stays. The SDK's own schemas say which keys
 * are members (and are renamed) and which are a map's (and are not).
 */

type Schema = ReturnType<typeof NormalizedSchema.of>;

/** The input and output schemas of a command, as the SDK's generated classes carry them. */
export function schemasOf(command: unknown): { readonly input: Schema; readonly output: Schema } {
  const operation = (command as { schema?: unknown[] }).schema;
  if (!Array.isArray(operation)) throw new Error('this SDK client does not describe its operations');
  const [, , , , input, output] = operation;
  return { input: NormalizedSchema.of(input as never), output: NormalizedSchema.of(output as never) };
}

/** Arguments to an SDK command's input. A member that the API does not have ends the execution: States.Runtime. */
export function toInput(value: Json, schema: Schema, path = 'Arguments'): unknown {
  if (value === null) return undefined;
  if (schema.isListSchema() && Array.isArray(value)) {
    return value.map((item, index) => toInput(item, schema.getValueSchema(), `${path}[${index}]`));
  }
  if (schema.isTimestampSchema()) return new Date(value as string | number);
  // A body (S3's PutObject) is the value's JSON, so that a string is written with its quotes, as AWS does.
  if (schema.isBlobSchema() && schema.isStreaming()) return Buffer.from(JSON.stringify(value), 'utf8');
  if (schema.isBlobSchema() && typeof value === 'string') return Buffer.from(value, 'utf8');
  if (typeof value !== 'object' || Array.isArray(value)) {
    if (schema.isStructSchema()) throw new StatesError(runtimeError, `The value of ${path} must be an object.`);
    return textual(value, schema);
  }
  if (schema.isMapSchema()) {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, item]) => [key, toInput(item, schema.getValueSchema(), path)]));
  }
  if (!schema.isStructSchema()) return textual(value, schema);
  const members = new Map([...schema.structIterator()].map(([name, member]) => [name.toLowerCase(), [name, member]]));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const [name, member] = (members.get(key.toLowerCase()) ?? []) as [string?, Schema?];
      if (!name || !member || !/^[A-Z]/.test(key)) {
        const hint = name ? `; try ${pascal(name)}` : '';
        throw new StatesError(runtimeError, `The field '${key}' in ${path} is not supported by Step Functions${hint}.`);
      }
      return [name, toInput(item, member, `${path}.${key}`)];
    }),
  );
}

/** Where the API wants text and the machine gives anything else, Step Functions sends its JSON. */
const textual = (value: Json, schema: Schema): unknown =>
  schema.isStringSchema() && typeof value !== 'string' ? JSON.stringify(value) : value;

/**
 * An SDK command's output as a task's result.
 * @param time how dates are written: optimised integrations give milliseconds, AWS SDK integrations ISO strings
 */
export async function toResult(value: unknown, schema: Schema, time: (date: Date) => Json): Promise<Json> {
  if (value === undefined || value === null) return null;
  if (value instanceof Date) return time(value);
  if (schema.isBlobSchema()) return blob(value);
  if (Array.isArray(value)) {
    const item = schema.isListSchema() ? schema.getValueSchema() : schema;
    return Promise.all(value.map((member) => toResult(member, item, time)));
  }
  if (typeof value !== 'object') return value as Json;
  const members = schema.isStructSchema() ? new Map(schema.structIterator()) : undefined;
  const entries: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    const member = members ? members.get(key) : schema.isMapSchema() ? schema.getValueSchema() : undefined;
    // What the schema does not know is the SDK's own: $metadata.
    if (!member || item === undefined) continue;
    entries.push([members ? pascal(key) : key, await toResult(item, member, time)]);
  }
  return Object.fromEntries(entries);
}

const pascal = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/** Bytes and streams become text. */
async function blob(value: unknown): Promise<Json> {
  const stream = value as { transformToString?: () => Promise<string> };
  if (stream.transformToString) return stream.transformToString();
  return Buffer.from(value as Uint8Array).toString('utf8');
}
