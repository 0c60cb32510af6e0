import { type Html, html } from './html.ts';

/** Charts as inline SVG: drawn here, so that a page needs no script. Each says in words what it shows. */

export interface Point {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
  readonly bad?: boolean;
  /** Shown when pointed at. */
  readonly label: string;
}

export interface Trend {
  readonly title: string;
  /** The newest value and what became of it, in words. */
  readonly summary: string;
  readonly points: readonly Point[];
  readonly format: (value: number) => string;
  /** A line that should not be crossed; left out of the scale when it is far away. */
  readonly limit?: { readonly value: number; readonly label: string };
}

const width = 640;
const height = 200;
const left = 92;
const bottom = 26;
const top = 12;

/** Values over time, from zero up. */
export function trend({ title, summary, points, format, limit }: Trend): Html {
  const most = Math.max(...points.map(({ value }) => value), 0) || 1;
  const showsLimit = limit !== undefined && limit.value <= most * 3;
  const scale = Math.max(most, showsLimit ? limit.value : 0) * 1.1;
  const from = Math.min(...points.map(({ at }) => at));
  const span = Math.max(...points.map(({ at }) => at)) - from || 1;
  const x = (at: number) =>
    points.length === 1 ? (left + width) / 2 : left + ((at - from) / span) * (width - left - 8);
  const y = (value: number) => top + (1 - value / scale) * (height - top - bottom);
  const path = points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const ticks = [0, scale / 2, scale].map(
    (
      value,
    ) => html`<line class="grid" x1="${left}" x2="${width}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/>
<text x="${left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${format(value)}</text>`,
  );
  const far = limit && !showsLimit ? `; ${limit.label} is ${format(limit.value)}` : '';
  return html`<figure><figcaption><b>${title}</b> ${summary}${far}</figcaption>
${
  points.length === 0
    ? html`<p class="dim">Nothing yet.</p>`
    : html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${`${title}: ${summary}`}">
${ticks}
<polygon class="area" points="${`${x(from).toFixed(1)},${y(0).toFixed(1)} ${path} ${x(from + span).toFixed(1)},${y(0).toFixed(1)}`}"/>
<polyline class="line" points="${path}"/>
${points.map((point) => html`<circle class="dot${point.bad ? ' bad' : ''}" cx="${x(point.at).toFixed(1)}" cy="${y(point.value).toFixed(1)}" r="3"><title>${point.label}</title></circle>`)}
${showsLimit ? html`<line class="limit" x1="${left}" x2="${width}" y1="${y(limit.value).toFixed(1)}" y2="${y(limit.value).toFixed(1)}"/><text x="${width}" y="${(y(limit.value) - 4).toFixed(1)}" text-anchor="end">${limit.label} ${format(limit.value)}</text>` : undefined}
<text x="${left}" y="${height - 4}">${day(from)}</text><text x="${width}" y="${height - 4}" text-anchor="end">${points.length > 1 ? day(from + span) : ''}</text>
</svg>`
}</figure>`;
}

export interface Range {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** What of a time is covered: ranges, moments, and what lies between them is not. */
export function coverage(
  title: string,
  summary: string,
  { from, to, ranges, moments }: { from: number; to: number; ranges: readonly Range[]; moments: readonly Point[] },
): Html {
  const span = Math.max(1, to - from);
  const x = (at: number) => ((at - from) / span) * width;
  const bar = (className: string, range: Range) =>
    html`<rect class="${className}" x="${x(range.from).toFixed(1)}" width="${Math.max(1, x(range.to) - x(range.from)).toFixed(1)}" y="14" height="22" rx="3"><title>${range.label}</title></rect>`;
  const gaps = ranges.slice(1).flatMap((range, i) => {
    const before = ranges[i] as Range;
    return range.from > before.to
      ? [{ from: before.to, to: range.from, label: 'gap: nothing of this time can be recovered' }]
      : [];
  });
  return html`<figure><figcaption><b>${title}</b> ${summary}</figcaption>
<svg class="wide" viewBox="0 0 ${width} 66" role="img" aria-label="${`${title}: ${summary}`}">
<rect x="0" y="14" width="${width}" height="22" rx="3" fill="none" class="grid"/>
${ranges.map((range) => bar('covered', range))}${gaps.map((gap) => bar('gap', gap))}
${moments.map((moment) => html`<rect class="${moment.bad ? 'gap' : 'covered'}" x="${(x(moment.at) - 1.5).toFixed(1)}" width="3" y="10" height="30"><title>${moment.label}</title></rect>`)}
<text x="0" y="60">${day(from)}</text><text x="${width}" y="60" text-anchor="end">${day(to)}</text>
</svg></figure>`;
}

export interface Phase {
  readonly name: string;
  readonly seconds: number;
}

/** Phases one after another, with the objective that their sum is held against. */
export function phases(
  title: string,
  summary: string,
  rows: readonly { readonly label: string; readonly phases: readonly Phase[] }[],
  format: (seconds: number) => string,
): Html {
  const most = Math.max(...rows.map(({ phases }) => phases.reduce((sum, { seconds }) => sum + seconds, 0)), 0.001);
  const names = [...new Set(rows.flatMap((row) => row.phases.map(({ name }) => name)))];
  const rowHeight = 26;
  return html`<figure><figcaption><b>${title}</b> ${summary}</figcaption>
<svg viewBox="0 0 ${width} ${rows.length * rowHeight + 4}" role="img" aria-label="${`${title}: ${summary}`}">
${rows.map((row, i) => {
  let at = 104;
  return html`<text x="0" y="${i * rowHeight + 17}">${row.label}</text>${row.phases.map((phase) => {
    const long = (phase.seconds / most) * (width - 114);
    const drawn = html`<rect class="phase${names.indexOf(phase.name) % 5}" x="${at.toFixed(1)}" y="${i * rowHeight + 3}" width="${Math.max(1, long).toFixed(1)}" height="18"><title>${phase.name}: ${format(phase.seconds)}</title></rect>`;
    at += long;
    return drawn;
  })}`;
})}
</svg><p class="dim">${names.map((name, i) => html`<svg viewBox="0 0 10 10" style="display:inline;width:.7rem" aria-hidden="true"><rect class="phase${i % 5}" width="10" height="10"/></svg> ${name}${i < names.length - 1 ? ' · ' : ''}`)}</p></figure>`;
}

const day = (at: number): string => new Date(at).toISOString().slice(0, 10);
