/** HTML by template literals: every value is escaped, unless it is HTML made here already. */

export interface Html {
  readonly html: string;
}

export type Value = string | number | Html | undefined | null | false | readonly Value[];

export const html = (strings: TemplateStringsArray, ...values: readonly Value[]): Html => ({
  html: strings.reduce((text, part, i) => text + part + (i < values.length ? render(values[i]) : ''), ''),
});

function render(value: Value): string {
  if (value === undefined || value === null || value === false) return '';
  if (typeof value === 'object' && 'html' in value) return value.html;
  if (typeof value === 'object') return value.map(render).join('');
  return escapeHtml(String(value));
}

/** Safe in text and in quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
