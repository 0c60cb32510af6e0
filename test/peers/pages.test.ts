import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseStatus } from '../../lib/cli/commands/status.ts';
import type { ReportData } from '../../lib/cli/report/data.ts';
import { reportPage } from '../../lib/cli/report/page.ts';
import type { ProofReport } from '../../lib/core/proof.ts';
import { proofPage } from '../../lib/core/proof-page.ts';
import { describeWithPeers } from './peers.ts';

/** Our pages in Chromium, with axe as the judge of who can read them: desk, phone and paper, light and dark. */

const hostile = '"><script>window.hacked = true</script>';
const day = (n: number) => new Date(Date.parse('2026-11-21T02:00:00Z') - n * 86_400_000).toISOString();

const proof: ProofReport = {
  schemaVersion: 1,
  id: 'proof-1',
  database: 'orders',
  backupId: 'backup-0',
  manifestKey: 'k',
  sourceVersion: '15.18',
  serverVersion: '17.11',
  level: 'L5',
  holds: true,
  startedAt: day(0),
  restoreSeconds: 300,
  proofSeconds: 120,
  rpoSeconds: 3600,
  rtoSeconds: 460,
  databases: [
    {
      name: 'orders',
      level: 'L5',
      checks: [{ level: 'L0', name: 'objects', held: true, detail: hostile }],
      tables: [{ relation: hostile, expectedRows: '12', rows: '12', hashesEqual: true }],
      rpoSeconds: 3600,
      rpoFrom: 'heartbeat',
    },
  ],
} as unknown as ProofReport;

const data = {
  status: {
    database: 'orders',
    recoverable: 'yes',
    region: 'eu-north-1',
    to: day(0),
    lossSeconds: 3600,
    seconds: 460,
    says: hostile,
    provenBy: null,
    objectives: { rpoSeconds: 86_400, rtoSeconds: 14_400 },
    regions: [
      {
        region: 'eu-north-1',
        backup: { id: 'backup-0', takenAt: day(0), verifiedAt: day(0), bytes: 9e8 },
        alarms: [hostile],
      },
      { region: 'us-east-1', problem: hostile },
    ],
  },
  settings: { lock: { mode: 'GOVERNANCE', seconds: 2_592_000 } },
  backups: Array.from({ length: 20 }, (_, i) => ({
    id: `backup-${i}`,
    takenAt: day(i),
    verifiedAt: i === 7 ? null : new Date(Date.parse(day(i)) + 240_000 - i * 5000).toISOString(),
    bytes: 9e8 - i * 1.4e7,
    rawBytes: 2e9,
    tables: 16,
    objects: 12,
    provenLevel: i % 7 === 0 ? 'L5' : null,
    provenAt: null,
    manifestKey: 'k',
  })),
  tests: [0, 7, 14].map((n, i) => ({
    id: `proof-${n}`,
    backupId: `backup-${n}`,
    at: day(n),
    holds: n !== 7,
    level: n === 7 ? null : 'L5',
    rtoSeconds: 460 - i * 40,
    rpoSeconds: 3600 + i * 100,
    restoreSeconds: 300 - i * 20,
    proofSeconds: 120 - i * 10,
  })),
  proof,
  cost: [{ item: 'S3, storage', detail: '24 GiB', usd: 1.1 }],
  schedules: { backup: 'cron(0 2 * * ? *)', restoreTest: 'cron(0 3 ? * SUN *)' },
} as unknown as ReportData;

const [first, second] = data.status.regions as [DatabaseStatus['regions'][number], DatabaseStatus['regions'][number]];
/** WAL since eight days, with a gap of a day and two timelines that lie over one another. */
const window = [
  { from: day(8), to: day(5) },
  { from: day(4), to: day(1) },
  { from: day(2), to: day(0.02) },
];
const withWal = { ...data, status: { ...data.status, regions: [{ ...first, window }, second] } };

const pages = {
  'the report': reportPage('acme', new Date(day(0)), [data], []),
  'the report of a database that receives WAL': reportPage('acme', new Date(day(0)), [withWal], []),
  'the page of a proof': proofPage(proof),
};

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
describeWithPeers('in Chromium', ['chromium'], (executablePath) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await puppeteer.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser?.close());

  describe.each(Object.entries(pages))('%s', (_, html) => {
    const cases = (['light', 'dark'] as const).flatMap((scheme) => [1200, 375].map((width) => ({ scheme, width })));

    async function open(scheme: string, width: number): Promise<{ page: Page; complaints: string[] }> {
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('request', (request) => {
        if (!request.url().startsWith('about:')) complaints.push(`fetches ${request.url()}`);
      });
      await page.setViewport({ width, height: 800 });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await page.setContent(html);
      return { page, complaints };
    }

    it.each(cases)('$scheme, $width wide: nothing to complain of, nothing cut off, readable for all', async (one) => {
      const { page, complaints } = await open(one.scheme, one.width);
      expect(complaints).toEqual([]);
      expect(await page.evaluate('window.hacked')).toBeUndefined();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(one.width);
      // Past the page's own policy, which lets no script in: the judge is one.
      const client = await page.createCDPSession();
      await client.send('Page.setBypassCSP', { enabled: true });
      await page.setContent(html);
      await page.evaluate(axe);
      const { violations } = (await page.evaluate('axe.run()')) as {
        violations: { id: string; nodes: { html: string }[] }[];
      };
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`)).toEqual([]);
      await page.close();
    });

    it('prints', async () => {
      const { page } = await open('dark', 1200);
      const pdf = await page.pdf({ format: 'A4' });
      expect(Buffer.from(pdf.subarray(0, 5)).toString()).toBe('%PDF-');
      await page.close();
    });
  });

  it('the report says in words what its charts show', async () => {
    const page = await browser.newPage();
    await page.setContent(pages['the report']);
    const labels = (await page.evaluate(
      'Array.from(document.querySelectorAll("svg[role=img]")).map((one) => one.getAttribute("aria-label"))',
    )) as string[];
    expect(labels).toHaveLength(5);
    expect(labels.join('\n')).toMatch(/19 moments/);
    expect(labels.join('\n')).toMatch(/in 90 days at this rate/);
    expect(await page.evaluate('document.title')).toBe('orders can be recovered');
    await page.setContent(pages['the report of a database that receives WAL']);
    expect(await page.evaluate('document.querySelector("svg[role=img]").getAttribute("aria-label")')).toMatch(
      /Any moment of 6 d 23 h .* in 2 stretches with gaps between them; and 19 logical backups/,
    );
    expect(await page.evaluate('document.querySelectorAll("svg[role=img] rect.gap title")[0].textContent')).toMatch(
      /^gap/,
    );
    await page.close();
  });
});
