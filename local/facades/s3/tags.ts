import { s3Error } from './model.ts';

export type Tags = Readonly<Record<string, string>>;

/** The tags of a `x-amz-tagging` header, written as a query string. */
export function tagsFrom(header: string | undefined): Tags | undefined {
  if (!header) return undefined;
  const pairs = [...new URLSearchParams(header)];
  const tags = Object.fromEntries(pairs);
  if (Object.keys(tags).length < pairs.length) {
    throw s3Error(
      'InvalidArgument',
      'The header x-amz-tagging should be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.',
    );
  }
  assertTags(tags);
  return pairs.length > 0 ? tags : undefined;
}

export function assertTags(tags: Tags): void {
  const entries = Object.entries(tags);
  if (entries.length > 10) throw s3Error('BadRequest', 'Object tags cannot be greater than 10');
  for (const [key, value] of entries) {
    if (key === '' || key.length > 128 || value.length > 256) {
      throw s3Error('InvalidTag', 'The TagKey or TagValue you have provided is invalid', 400, { TagKey: key });
    }
  }
}
