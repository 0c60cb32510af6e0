import type { Version } from './model.ts';

/** To which objects a rule of a bucket applies. */
export interface Filter {
  readonly prefix: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Bytes, exclusive. */
  readonly largerThan?: number;
  readonly smallerThan?: number;
}

export function applies(filter: Filter, object: Pick<Version, 'key' | 'tags'> & { readonly size?: number }): boolean {
  const { size = 0 } = object;
  return (
    object.key.startsWith(filter.prefix) &&
    Object.entries(filter.tags).every(([key, value]) => object.tags?.[key] === value) &&
    (filter.largerThan === undefined || size > filter.largerThan) &&
    (filter.smallerThan === undefined || size < filter.smallerThan)
  );
}

/** Tags as templates list them. */
export const tagsOf = (list: readonly { Key: string; Value: string }[] = []): Record<string, string> =>
  Object.fromEntries(list.map(({ Key, Value }) => [Key, Value]));

/** Refuses what is not carried out, at every depth that is read here. */
export function only(value: Record<string, unknown>, known: readonly string[], where: string): void {
  const unknown = Object.keys(value).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(
      `${where}: ${unknown.join(', ')} ${unknown.length > 1 ? 'are' : 'is'} not carried out here. Try one of ${known.join(', ')}.`,
    );
  }
}
