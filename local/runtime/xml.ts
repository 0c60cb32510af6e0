import { XMLParser } from 'fast-xml-parser';
import { AwsError } from '../facade.ts';
import { escapeXml } from '../query.ts';

/** Text, several elements of one name, or an element's children in order. Undefined is left out. */
export type Xml = string | number | boolean | Date | undefined | readonly Xml[] | { readonly [name: string]: Xml };

export const toXml = (root: string, namespace: string, content: Xml): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">${inner(content)}</${root}>`;

function inner(value: Xml): string {
  if (value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'object') return escapeXml(String(value));
  return Object.entries(value)
    .flatMap(([name, child]) =>
      child === undefined ? [] : [child].flat().map((one) => `<${name}>${inner(one as Xml)}</${name}>`),
    )
    .join('');
}

const parser = new XMLParser({ ignoreAttributes: true, parseTagValue: false });

/** The children of the body's root element, all leaves text. @throws AwsError MalformedInput */
export function fromXml(body: string, root: string): Record<string, any> {
  let parsed: Record<string, any>;
  try {
    parsed = parser.parse(body);
  } catch (error) {
    throw new AwsError('InvalidInput', `The body is no XML: ${(error as Error).message}`);
  }
  const found = parsed[root];
  if (found === undefined) throw new AwsError('InvalidInput', `The body has no ${root}.`);
  return typeof found === 'object' ? found : {};
}

/** A wrapped list: `<Names><Name>a</Name></Names>` was read as `{Name: 'a'}`, or `''` when it is empty. */
export function listOf(wrapper: any, item: string): any[] {
  const found = wrapper?.[item];
  return found === undefined ? [] : [found].flat();
}
