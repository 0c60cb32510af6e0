/** Patterns of policies: `*` and `?` stand for any characters, `${key}` for a value of the request. */

/** The first value of a condition key, by its name in any case. */
export type Lookup = (key: string) => string | undefined;

const tokens = /\$\{([^}]*)\}|./gsu;

/** Whether the whole text fits. A variable that the request has no value for fits nothing, as in AWS. */
export function matchesPattern(pattern: string, text: string, lookup: Lookup, ignoreCase = false): boolean {
  if (pattern === '*') return true;
  let source = '';
  for (const [token, variable] of pattern.matchAll(tokens)) {
    const literal = variable === undefined ? undefined : variableText(variable, lookup);
    if (variable !== undefined && literal === undefined) return false;
    if (literal !== undefined) source += RegExp.escape(literal);
    else if (token === '*') source += '.*';
    else if (token === '?') source += '.';
    else source += RegExp.escape(token);
  }
  return new RegExp(`^${source}$`, ignoreCase ? 'isu' : 'su').test(text);
}

/** `${*}`, `${?}` and `${$}` are the characters themselves. */
const variableText = (variable: string, lookup: Lookup): string | undefined =>
  variable === '*' || variable === '?' || variable === '$' ? variable : lookup(variable);

/**
 * An ARN against a pattern, each of its six parts by itself: a `*` does not reach from one part into the next. What is
 * no ARN (`*`, for APIs without resources) fits `*` alone.
 */
export function matchesArn(pattern: string, arn: string, lookup: Lookup): boolean {
  if (pattern === '*') return true;
  const wanted = parts(pattern);
  const given = parts(arn);
  if (given.length < 6 || wanted.length < 6) return false;
  return wanted.every((part, index) => matchesPattern(part, given[index] as string, lookup));
}

/** The colons of `${aws:…}` separate nothing. */
function parts(arn: string): string[] {
  const found = arn.replace(/\$\{[^}]*\}/g, (variable) => variable.replaceAll(':', '\0')).split(':');
  const six = found.length > 6 ? [...found.slice(0, 5), found.slice(5).join(':')] : found;
  return six.map((part) => part.replaceAll('\0', ':'));
}
