import type { ResourceContext } from '../facade.ts';

/**
 * Refuses what a resource type of this cloud does not know. A property that is accepted and then ignored would
 * let a template pass here and behave otherwise in AWS.
 *
 * @param refused properties that exist in AWS but not here, with what to do instead
 */
export function onlyKnown(
  type: string,
  context: Pick<ResourceContext, 'stack' | 'logicalId'>,
  properties: Readonly<Record<string, unknown>>,
  known: readonly string[],
  refused: Readonly<Record<string, string>> = {},
): void {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || known.includes(name)) continue;
    const hint = refused[name];
    throw new Error(
      `${type} ${context.stack}/${context.logicalId}: the local cloud does not support the property ${name}` +
        (hint ? `: ${hint}` : `. It knows ${known.join(', ')}`),
    );
  }
}

/** Fails unless the property is there. */
export function required<T>(
  type: string,
  context: Pick<ResourceContext, 'stack' | 'logicalId'>,
  properties: Readonly<Record<string, T>>,
  name: string,
): NonNullable<T> {
  const value = properties[name];
  if (value === undefined || value === null || value === '') {
    throw new Error(`${type} ${context.stack}/${context.logicalId}: the property ${name} is required`);
  }
  return value;
}

/** `[{Key, Value}]` as CloudFormation has it, or a plain object, as a plain object. */
export function tagMap(tags: unknown): Record<string, string> {
  if (Array.isArray(tags)) return Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value]));
  return { ...(tags as Record<string, string> | undefined) };
}

/** CloudFormation gives numbers and booleans as strings at times. */
export const isTrue = (value: unknown): boolean => value === true || value === 'true';
