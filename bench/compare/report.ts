import type { Figures } from './contenders.ts';
import { median } from './measure.ts';

/** What the figures say: medians of each contender, and ratios between runs of the same round. */

/** The runs of each contender, one for each round. */
export type Measurements = Readonly<Record<string, readonly Figures[]>>;

export interface Ratio {
  readonly name: string;
  /** The median over the rounds. */
  readonly value: number;
  readonly limit: string;
  readonly held: boolean;
}

const classic = 'pg_dump | gzip -6 | aws s3 cp';
const backup = 'pgdr backup';
const bare = 'pgdr backup, without fingerprint';
const compressed = 'its streams, compressed, into nothing';
const nothing = 'its streams into nothing';
const restored = 'pgdr restore';

interface Claim {
  readonly name: string;
  readonly of: readonly string[];
  readonly value: (...runs: Figures[]) => number;
  readonly least?: number;
  readonly most?: number;
}

const all = ({ clientCpu, serverCpu, storeCpu }: Figures): number => clientCpu + serverCpu + storeCpu;
const wall = (a: Figures, b: Figures): number => a.seconds / b.seconds;

/** The promises, and a few figures beside them that have no limit. */
const claims = (cores: number): readonly Claim[] => [
  { name: 'backup: times faster than the classic script', of: [classic, backup], value: wall, least: 7 },
  { name: '… CPU time of all together, classic to pgdr', of: [classic, backup], value: (a, b) => all(a) / all(b) },
  {
    name: 'backup: client CPU, of that of the classic script',
    of: [backup, classic],
    value: (ours, theirs) => ours.clientCpu / theirs.clientCpu,
    most: 0.25,
  },
  {
    name: 'backup without fingerprint: times as long as the same compressed streams into nothing',
    of: [bare, compressed],
    value: wall,
    most: 1.25,
  },
  { name: '… CPU time of all together', of: [bare, compressed], value: (a, b) => all(a) / all(b) },
  { name: '… as the same streams, not compressed, into nothing', of: [bare, nothing], value: wall },
  {
    name: 'fingerprint: added to the wall time of the backup',
    of: [backup, bare],
    value: (a, b) => wall(a, b) - 1,
    most: 0.4,
  },
  { name: '… to the CPU time of all together', of: [backup, bare], value: (a, b) => all(a) / all(b) - 1 },
  {
    name: 'restore: times faster than the classic script',
    of: ['aws s3 cp | gunzip | psql', restored],
    value: wall,
    least: 1.8,
  },
  {
    name: '… CPU time of all together, classic to pgdr',
    of: ['aws s3 cp | gunzip | psql', restored],
    value: (a, b) => all(a) / all(b),
  },
  {
    name: 'restore: times as long as pg_restore -j2 from local disk',
    of: [restored, 'pg_restore -j2 from local disk'],
    value: wall,
    most: 1,
  },
  {
    name: '… CPU time of all together, of that of pg_restore',
    of: [restored, 'pg_restore -j2 from local disk'],
    value: (a, b) => all(a) / all(b),
  },
  {
    name: 'restore: times as long as the CPU time of its server on all cores',
    of: [restored],
    value: ({ seconds, serverCpu }) => seconds / (serverCpu / cores),
    most: 1.15,
  },
  {
    name: '… as the CPU time of all together on all cores',
    of: [restored],
    value: (ours) => ours.seconds / (all(ours) / cores),
  },
];

/** Claims whose contenders all ran. */
export function judge(runs: Measurements, cores: number): Ratio[] {
  return claims(cores).flatMap(({ name, of, value, least, most }) => {
    const rounds = Math.min(...of.map((each) => runs[each]?.length ?? 0));
    if (rounds === 0) return [];
    const ratio = median(
      Array.from({ length: rounds }, (_, n) => value(...of.map((each) => runs[each]?.[n] as Figures))),
    );
    const limit = least !== undefined ? `≥ ${least}` : most !== undefined ? `≤ ${most}` : '';
    return [{ name, value: ratio, limit, held: ratio >= (least ?? -Infinity) && ratio <= (most ?? Infinity) }];
  });
}

export function render(report: {
  machine: { cores: number; postgres: string; uploader: string };
  bytes: number;
  rounds: number;
  runs: Measurements;
  ratios: readonly Ratio[];
}): string {
  const { machine, bytes, rounds, runs, ratios } = report;
  const lines = [
    `${(bytes / 1e9).toFixed(1)} GB on disk, PostgreSQL ${machine.postgres}, ${machine.cores} cores; medians of ${rounds} rounds; the scripts upload by ${machine.uploader} client.`,
    '',
    '| run | seconds | client CPU s | server CPU s | store CPU s |',
    '|---|---:|---:|---:|---:|',
    ...Object.entries(runs).map(([name, figures]) => {
      const of = (field: keyof Figures) => median(figures.map((each) => each[field] ?? Number.NaN)).toFixed(1);
      return `| ${name.replaceAll('|', '\\|')} | ${of('seconds')} | ${of('clientCpu')} | ${of('serverCpu')} | ${of('storeCpu')} |`;
    }),
    '',
    '| ratio, median of the pairs | value | limit | |',
    '|---|---:|---:|---|',
    ...ratios.map(
      ({ name, value, limit, held }) =>
        `| ${name} | ${value.toFixed(2)} | ${limit} | ${limit && (held ? 'held' : 'missed')} |`,
    ),
    '',
    ...Object.entries(runs).flatMap(([name, figures]) => {
      const peak = Math.max(...figures.map((each) => each.peakBytes ?? 0));
      return peak > 0 && name.startsWith('pgdr') ? [`${name}: at most ${(peak / 1e6).toFixed(0)} MB resident`] : [];
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/** The promise: the same for every size within 10 %, and below 256 MB. */
export function renderMemory(
  peaks: readonly { size: string; backup: Figures | undefined; restore: Figures | undefined }[],
): { text: string; ok: boolean } {
  const megabytes = (bytes = 0) => (bytes / 1e6).toFixed(0);
  const lines = peaks.map(
    ({ size, backup: b, restore: r }) =>
      `| ${size} | ${megabytes(b?.peakBytes)} | ${megabytes(b?.peakWithChildrenBytes)} | ${megabytes(r?.peakBytes)} | ${megabytes(r?.peakWithChildrenBytes)} |`,
  );
  const head = [
    '| database | backup MB | with its programs | restore MB | with its programs |',
    '|---|---:|---:|---:|---:|',
  ];
  const ok = (['backup', 'restore'] as const).every((job) => {
    const bytes = peaks.map((peak) => peak[job]?.peakBytes ?? Number.NaN);
    return Math.max(...bytes) < 256e6 && Math.max(...bytes) / Math.min(...bytes) <= 1.1;
  });
  return { text: `${[...head, ...lines].join('\n')}\n`, ok };
}
