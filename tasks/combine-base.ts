import { readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import { startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';
import { fetchBase, tablespacePath, verifyBase } from './fetch-base.ts';
import { log } from './log.ts';

/**
 * The data directory that a chain of base backups comes to. Each backup is fetched and verified by itself; the
 * increments are laid over the full one by pg_combinebackup, and what comes out has to pass pg_verifybackup once more.
 */
export async function fetchChain(
  chain: readonly PhysicalManifest[],
  store: ObjectStore,
  home: string,
  tools: ToolEnvironment,
  options: { readonly concurrency: number; readonly signal: AbortSignal },
): Promise<string> {
  const [only, ...increments] = chain;
  if (only && increments.length === 0) {
    const data = await fetchBase(only, store, home, tools, options);
    await verifyBase(data, tools, options.signal);
    return data;
  }
  const parts: string[] = [];
  for (const [i, backup] of chain.entries()) {
    const part = await fetchBase(backup, store, join(home, 'chain', String(i)), tools, options);
    await verifyBase(part, tools, options.signal);
    parts.push(part);
  }
  const data = join(home, 'data');
  await combine(parts, data, home, chain.at(-1) as PhysicalManifest, tools, options.signal);
  await rm(join(home, 'chain'), { recursive: true, force: true });
  await verifyBase(data, tools, options.signal);
  return data;
}

/** Throws `ArchiveUnreadable` with what pg_combinebackup says: parts that do not follow on each other, most of all. */
async function combine(
  parts: readonly string[],
  data: string,
  home: string,
  { tablespaces }: PhysicalManifest,
  tools: ToolEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const last = parts.at(-1) as string;
  const mapped = await Promise.all(
    tablespaces.map(async ({ oid }) => {
      const from = await readlink(join(last, 'pg_tblspc', oid));
      return `--tablespace-mapping=${escaped(from)}=${escaped(tablespacePath(home, oid))}`;
    }),
  );
  const args = [...parts, `--output=${data}`, '--no-sync', ...mapped];
  const tool = startTool('pg_combinebackup', args, tools, 'ArchiveUnreadable', { signal });
  tool.process.stdin?.end();
  tool.process.stdout?.resume();
  await tool.ended;
  log('base backups combined', { parts: parts.length });
}

const escaped = (path: string): string => path.replaceAll('=', '\\=');
