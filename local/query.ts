/**
 * The AWS Query protocol, and EC2's variety of it: form bodies in, XML out. It carries no types: every leaf of the
 * input is a string, and operations turn `'5'` and `'true'` into what they mean.
 */

const LIST_MARKERS = new Set(['member', 'entry']);

/**
 * `Tags.member.1.Key=a&Tags.member.1.Value=b&Attributes.entry.1.key=x&Attributes.entry.1.value=y` →
 * `{Tags: [{Key: 'a', Value: 'b'}], Attributes: {x: 'y'}}`. Map entries may be named key/value or Name/Value.
 */
export function decodeQuery(body: string): { operation: string | undefined; input: Record<string, unknown> } {
  const tree: Record<string, unknown> = Object.create(null);
  let operation: string | undefined;
  for (const [name, value] of new URLSearchParams(body)) {
    if (name === 'Action') operation = value;
    else if (name !== 'Version') place(tree, name.split('.'), value);
  }
  return { operation, input: settle(tree) as Record<string, unknown> };
}

function place(tree: Record<string, unknown>, path: string[], value: string): void {
  let node = tree;
  for (const step of path.slice(0, -1)) {
    const next = node[step];
    if (typeof next === 'object' && next !== null) node = next as Record<string, unknown>;
    else {
      const made: Record<string, unknown> = Object.create(null);
      node[step] = made;
      node = made;
    }
  }
  node[path.at(-1) ?? ''] = value;
}

function settle(node: unknown): unknown {
  if (typeof node !== 'object' || node === null) return node;
  const members = Object.entries(node);
  const [only] = members;
  if (members.length === 1 && only !== undefined && LIST_MARKERS.has(only[0]) && typeof only[1] === 'object') {
    const items = inOrder(only[1] as object);
    return only[0] === 'member' ? items : Object.fromEntries(items.map(toEntry));
  }
  // EC2's lists have no marker: `InstanceId.1=…`.
  if (members.length > 0 && members.every(([name]) => /^\d+$/.test(name))) return inOrder(node);
  // An empty list or structure is sent as `Tags=` by some clients.
  return Object.fromEntries(members.map(([name, value]) => [name, settle(value)]));
}

const inOrder = (list: object): unknown[] =>
  Object.entries(list)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, item]) => settle(item));

function toEntry(item: unknown): [string, unknown] {
  const entry = item as Record<string, unknown>;
  return [String(entry.key ?? entry.Name), entry.value ?? entry.Value];
}

/** The answer of an operation. Arrays become `<member>` lists, Maps `<entry><key/><value/></entry>` lists. */
export function encodeQueryResult(operation: string, output: unknown, namespace: string, requestId: string): string {
  return (
    `<${operation}Response xmlns="${escapeXml(namespace)}">` +
    `<${operation}Result>${toXml(output)}</${operation}Result>` +
    `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${operation}Response>`
  );
}

export function encodeQueryError(
  error: { code: string; message: string; status: number },
  namespace: string,
  requestId: string,
): string {
  return (
    `<ErrorResponse xmlns="${escapeXml(namespace)}"><Error><Type>${error.status < 500 ? 'Sender' : 'Receiver'}</Type>` +
    `<Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message></Error>` +
    `<RequestId>${requestId}</RequestId></ErrorResponse>`
  );
}

/** EC2's answers: members as they are on the wire, `<item>` for those of lists. */
export function encodeEc2Result(operation: string, output: object, namespace: string, requestId: string): string {
  const members = toXml({ requestId, ...output }, 'item');
  return `<${operation}Response xmlns="${escapeXml(namespace)}">${members}</${operation}Response>`;
}

export function encodeEc2Error(error: { code: string; message: string }, requestId: string): string {
  return (
    `<Response><Errors><Error><Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message>` +
    `</Error></Errors><RequestID>${requestId}</RequestID></Response>`
  );
}

function toXml(value: unknown, item = 'member'): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map((one) => `<${item}>${toXml(one, item)}</${item}>`).join('');
  if (value instanceof Map) {
    const entries = [...value].map(
      ([key, one]) => `<entry><key>${escapeXml(String(key))}</key><value>${toXml(one, item)}</value></entry>`,
    );
    return entries.join('');
  }
  if (typeof value === 'object') {
    return Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => `<${name}>${toXml(member, item)}</${name}>`)
      .join('');
  }
  return escapeXml(String(value));
}

/** Escapes text and attribute values; control characters that XML 1.0 cannot hold are dropped. */
export function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the very characters XML forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      .replace(/"/g, '&quot;')
      .replace(/\r/g, '&#13;')
  );
}
