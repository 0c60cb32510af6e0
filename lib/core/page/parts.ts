import { type Html, html, type Value } from './html.ts';

/** What pages are put together from. */

export const mark = (ok: boolean): Html =>
  ok ? html`<span class="ok" title="holds">✓</span>` : html`<span class="no" title="does not hold">✗</span>`;

export const tile = (label: string, value: string, note: string): Html =>
  html`<div class="tile"><span>${label}</span><b>${value}</b><span>${note}</span></div>`;

export const tiles = (all: readonly (Html | undefined)[]): Html => html`<div class="tiles">${all}</div>`;

/** Columns with their index in `right` hold numbers. What is wide scrolls by itself, by keyboard too. */
export const table = (
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Value[])[],
  right: readonly number[] = [],
): Html => {
  const n = (column: number) => (right.includes(column) ? html` class="n"` : undefined);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><thead><tr>
${head.map((cell, i) => html`<th scope="col"${n(i)}>${cell}</th>`)}</tr></thead><tbody>
${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td${n(i)}>${cell}</td>`)}</tr>`)}
</tbody></table></div>`;
};

export const facts = (all: readonly (readonly [string, Value])[]): Html =>
  html`<div class="card"><dl>${all.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></div>`;
