import { type CostLine, totalOf } from '../../core/cost.ts';
import { humanBytes, humanSeconds } from '../../core/human.ts';
import { type Point, phases, trend } from '../../core/page/chart.ts';
import { page } from '../../core/page/document.ts';
import { type Html, html } from '../../core/page/html.ts';
import { facts, mark, table, tile, tiles } from '../../core/page/parts.ts';
import { sizeDeviation } from '../../core/posture.ts';
import { standardPrices } from '../../core/prices.ts';
import { tablesOf } from '../../core/proof.ts';
import { showsOfLevel } from '../../core/proof-page.ts';
import { trendOf } from '../../core/trend.ts';
import type { ReportData } from './data.ts';
import { recoverableWindow, time, verifiedOf, when } from './window.ts';

/** `pgdr report`: how well each database could be recovered, for people who were not there. */
export function reportPage(
  system: string,
  at: Date,
  databases: readonly ReportData[],
  shared: readonly CostLine[],
): string {
  const worst = databases.some(({ status }) => status.recoverable === 'no')
    ? 'bad'
    : databases.some(({ status }) => status.recoverable === 'unproven')
      ? 'warn'
      : 'good';
  const title = {
    good:
      databases.length === 1 ? `${databases[0]?.status.database} can be recovered` : 'Every database can be recovered',
    warn: 'Recovery is not proven for every database',
    bad: 'A database cannot be recovered',
  }[worst];
  return page({
    title,
    state: worst,
    subtitle: `pgdr of ${system}, ${time(at.toISOString())}`,
    body: html`${databases.map((data) => section(data, at))}
${shared.length > 0 ? html`<h2>Shared by all databases</h2>${costTable('Shared cost', shared)}` : undefined}`,
    footer: html`Written by <code>pgdr report</code> from what lies in the buckets: manifests, verifications and reports of restore tests. Prices of ${standardPrices.region}, ${standardPrices.asOf}, without tax, free tiers and discounts.`,
  });
}

const section = (data: ReportData, at: Date): Html => html`<section>
<h2>${data.status.database}: recoverability</h2>
${glance(data)}
<p>${data.status.says}.</p>
${recoverableWindow(data, at)}
<h3>Trends</h3><div class="charts">${trends(data, at)}</div>
<h3>Restore tests</h3><div class="charts">${recovery(data)}</div>
${history(data)}
${proof(data)}
<h3>Backups</h3>${backups(data)}
<h3>Retention and locks</h3>${retention(data)}
<h3>Where it is kept</h3>${regions(data)}
${data.cost.length > 0 ? html`<h3>Cost of a month</h3>${costTable(`Cost of ${data.status.database}`, data.cost)}` : undefined}
</section>`;

function glance({ status, proof }: ReportData): Html {
  const { to, lossSeconds, seconds, objectives, recoverable } = status;
  const against = (value: number, objective: number) =>
    `objective ${humanSeconds(objective)}${value > objective ? ', missed' : ''}`;
  return tiles([
    tile('Could we recover now?', { yes: 'Yes', unproven: 'Unproven', no: 'No' }[recoverable], status.region ?? ''),
    tile(
      'To when',
      to === null ? '–' : time(to),
      lossSeconds === null ? '' : `losing ${humanSeconds(lossSeconds)}, ${against(lossSeconds, objectives.rpoSeconds)}`,
    ),
    tile(
      'How fast',
      seconds === null ? '–' : humanSeconds(seconds),
      seconds === null ? 'no restore test held' : against(seconds, objectives.rtoSeconds),
    ),
    tile(
      'Proof',
      proof?.level ?? 'none',
      proof ? `${tablesOf(proof).length} tables, ${time(proof.startedAt)}` : 'no restore test yet',
    ),
  ]);
}

function trends(data: ReportData, at: Date): Html[] {
  const usable = verifiedOf(data);
  const points = (value: (backup: (typeof usable)[number]) => number, format: (value: number) => string): Point[] =>
    usable.map((backup) => ({
      at: Date.parse(backup.takenAt),
      value: value(backup),
      label: `${time(backup.takenAt)}: ${format(value(backup))}`,
    }));
  const sizes = points(({ bytes }) => bytes, humanBytes);
  const line = trendOf(sizes);
  const later = line.at(new Date(at.getTime() + 90 * 86_400_000));
  const deviation = sizeDeviation(
    usable.map(({ id, verifiedAt, bytes }) => ({ id, verifiedAt: verifiedAt as string, bytes })),
  );
  const newest = usable.at(-1);
  const words = [
    newest ? humanBytes(newest.bytes) : 'nothing yet',
    ...(deviation === undefined
      ? []
      : [`${deviation >= 0 ? '+' : '−'}${Math.abs(deviation).toFixed(0)} % against the mean of 7 days`]),
    ...(line.perDay === 0 ? [] : [`${humanBytes(Math.round(later))} in 90 days at this rate`]),
  ];
  const durations = usable.map((backup) => ({
    at: Date.parse(backup.takenAt),
    value: Math.max(0, (Date.parse(backup.verifiedAt as string) - Date.parse(backup.takenAt)) / 1000),
    label: `${time(backup.takenAt)}: ${humanSeconds((Date.parse(backup.verifiedAt as string) - Date.parse(backup.takenAt)) / 1000)}`,
  }));
  return [
    trend({
      title: 'Size.',
      summary: `${words.join('; ')}.`,
      points: sizes,
      format: (value) => humanBytes(Math.round(value)),
    }),
    trend({
      title: 'Time from the snapshot to the verified backup.',
      summary: durations.length > 0 ? `Last ${humanSeconds(durations.at(-1)?.value ?? 0)}.` : 'Nothing yet.',
      points: durations,
      format: humanSeconds,
    }),
  ];
}

function recovery({ tests, status }: ReportData): Html[] {
  const { rpoSeconds, rtoSeconds } = status.objectives;
  const oldestFirst = tests.toReversed();
  const last = tests[0];
  const points = (value: (test: (typeof tests)[number]) => number, objective: number): Point[] =>
    oldestFirst.map((test) => ({
      at: Date.parse(test.at),
      value: value(test),
      bad: !test.holds || value(test) > objective,
      label: `${time(test.at)}: ${humanSeconds(value(test))}, ${test.holds ? test.level : 'failed'}`,
    }));
  return [
    phases(
      'RTO by phase.',
      last ? `Last ${humanSeconds(last.rtoSeconds)}, objective ${humanSeconds(rtoSeconds)}.` : 'No restore test yet.',
      tests.slice(0, 6).map((test) => ({
        label: test.at.slice(0, 10),
        phases: [
          { name: 'start', seconds: Math.max(0, test.rtoSeconds - test.restoreSeconds - test.proofSeconds) },
          { name: 'restore', seconds: test.restoreSeconds },
          { name: 'proof', seconds: Math.min(test.proofSeconds, Math.max(0, test.rtoSeconds - test.restoreSeconds)) },
        ],
      })),
      humanSeconds,
    ),
    trend({
      title: 'RPO measured.',
      summary: last ? `Last ${humanSeconds(last.rpoSeconds)}.` : 'No restore test yet.',
      points: points(({ rpoSeconds: value }) => value, rpoSeconds),
      format: humanSeconds,
      limit: { value: rpoSeconds, label: 'objective' },
    }),
  ];
}

const history = ({ tests, status }: ReportData): Html =>
  table(
    `Restore tests of ${status.database}`,
    ['When', 'Backup', 'Holds', 'Level', 'RTO', 'RPO'],
    tests
      .slice(0, 20)
      .map((test) => [
        when(test.at),
        html`<code>${test.backupId}</code>`,
        mark(test.holds),
        test.level ?? 'none',
        humanSeconds(test.rtoSeconds),
        humanSeconds(test.rpoSeconds),
      ]),
    [4, 5],
  );

function proof({ proof }: ReportData): Html | undefined {
  if (!proof) return undefined;
  return html`<h3>The last proof, table by table</h3>
<p class="dim">${proof.level ? `${proof.level}: ${showsOfLevel[proof.level]}.` : 'No level held.'} Reported in <code>${proof.id}</code>.</p>
${proof.databases.map(({ name, level, tables }) =>
  table(
    `Tables of ${name}`,
    ['Table', 'Rows in the snapshot', 'Rows restored', 'Content', 'Level'],
    tables.map((one) => [
      html`<code>${one.relation}</code>`,
      one.expectedRows,
      one.rows ?? 'missing',
      one.hashesEqual ? html`<span class="ok">equal</span>` : html`<span class="no">differs</span>`,
      level ?? 'none',
    ]),
    [1, 2],
  ),
)}`;
}

const backups = ({ backups, status }: ReportData): Html =>
  table(
    `Backups of ${status.database}`,
    ['Backup', 'Taken', 'Size', 'Dumped', 'Tables', 'Read back', 'Proven'],
    backups
      .slice(0, 40)
      .map((one) => [
        html`<code>${one.id}</code>`,
        one.problem ? html`<span class="no">unreadable</span>` : when(one.takenAt),
        humanBytes(one.bytes),
        humanBytes(one.rawBytes),
        one.tables,
        one.verifiedAt ? when(one.verifiedAt) : html`<span class="no">no</span>`,
        one.provenLevel ?? 'no',
      ]),
    [2, 3, 4],
  );

const retention = ({ settings, schedules, backups }: ReportData): Html =>
  facts([
    ['Object Lock', `${settings.lock.mode}, ${humanSeconds(settings.lock.seconds)} from the start of each backup`],
    [
      'Kept',
      `${backups.length} backups, ${humanBytes(backups.reduce((sum, { bytes }) => sum + bytes, 0))} as each counts by itself`,
    ],
    ['Backups', html`<code>${schedules.backup}</code>`],
    ['Restore tests', html`<code>${schedules.restoreTest}</code>`],
  ]);

const regions = ({ status }: ReportData): Html =>
  table(
    `Regions of ${status.database}`,
    ['Region', 'Newest verified backup', 'Alarms that are on'],
    status.regions.map(({ region, problem, backup, alarms }) => [
      region,
      problem ? html`<span class="no">${problem}</span>` : backup ? html`<code>${backup.id}</code>` : 'none',
      alarms === undefined
        ? 'unknown'
        : alarms.length === 0
          ? 'none'
          : html`<span class="warn-text">${alarms.join(', ')}</span>`,
    ]),
  );

const costTable = (caption: string, lines: readonly CostLine[]): Html =>
  table(
    caption,
    ['What', 'Of what', 'USD a month'],
    [...lines.map(({ item, detail, usd }) => [item, detail, usd.toFixed(2)]), ['Sum', '', totalOf(lines).toFixed(2)]],
    [2],
  );
