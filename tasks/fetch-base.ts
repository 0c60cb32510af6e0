import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { PhysicalManifest, PhysicalObject } from '../lib/core/physical-manifest.ts';
import { startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';
import { log, startProgress } from './log.ts';
import { intoFile, intoTool, readObject } from './restore-stream.ts';

/**
 * A base backup as a data directory: every object is hashed on its way (L0), unpacked as it comes, and PostgreSQL's own
 * pg_verifybackup has the last word (L1). Tablespaces lie beside the data directory, not where the source had them.
 */
export async function fetchBase(
  manifest: PhysicalManifest,
  store: ObjectStore,
  home: string,
  tools: ToolEnvironment,
  options: { readonly concurrency: number; readonly signal: AbortSignal },
): Promise<string> {
  const data = join(home, 'data');
  await mkdir(data, { recursive: true, mode: 0o700 });
  const progress = startProgress(
    'base backup',
    manifest.objects.reduce((sum, object) => sum + object.bytes, 0),
  );
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const waiting = [...manifest.objects].sort((a, b) => b.bytes - a.bytes);
  const worker = async () => {
    for (let object = waiting.shift(); object; object = waiting.shift()) {
      await fetchObject(object, store, data, home, tools, signal);
      progress.add(object.bytes);
    }
  };
  const workers = Array.from({ length: options.concurrency }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  } finally {
    progress.stop();
  }
  await linkTablespaces(manifest, data, home);
  return data;
}

async function fetchObject(
  object: PhysicalObject,
  store: ObjectStore,
  data: string,
  home: string,
  tools: ToolEnvironment,
  signal: AbortSignal,
): Promise<void> {
  if (object.role === 'backup-manifest') {
    await readObject(store, object, intoFile(join(data, 'backup_manifest')), signal);
    return;
  }
  const into = object.role === 'base' ? data : tablespacePath(home, object.oid ?? '');
  await mkdir(into, { recursive: true, mode: 0o700 });
  const args = ['--extract', '--file=-', `--directory=${into}`, '--no-same-owner'];
  const tar = startTool('tar', args, tools, 'ArchiveUnreadable', { signal });
  await readObject(store, object, intoTool(tar), signal);
}

export const tablespacePath = (home: string, oid: string): string => {
  if (!/^\d+$/.test(oid))
    throw new PgdrError('ManifestInvalid', `the manifest names a tablespace ${oid || 'without oid'}`);
  return join(home, 'tablespaces', oid);
};

/** Links in place of tablespace_map, by which PostgreSQL would make them to where the source had its tablespaces. */
async function linkTablespaces({ tablespaces }: PhysicalManifest, data: string, home: string): Promise<void> {
  for (const { oid } of tablespaces) {
    const link = join(data, 'pg_tblspc', oid);
    await rm(link, { force: true });
    await symlink(tablespacePath(home, oid), link);
  }
}

/** Throws `ArchiveUnreadable` with the first file that is not as the server sent it. The WAL is not in the backup. */
export async function verifyBase(data: string, tools: ToolEnvironment, signal: AbortSignal): Promise<void> {
  const tool = startTool(
    'pg_verifybackup',
    ['--no-parse-wal', '--exit-on-error', '--quiet', data],
    tools,
    'ArchiveUnreadable',
    {
      signal,
    },
  );
  tool.process.stdin?.end();
  tool.process.stdout?.resume();
  await tool.ended;
  log('pg_verifybackup passed');
}

/** Removes from a data directory whatever could take it anywhere but into this recovery. */
export async function disarm(data: string): Promise<void> {
  const files = ['standby.signal', 'recovery.signal', 'postgresql.auto.conf', 'tablespace_map', 'postmaster.pid'];
  await Promise.all(files.map((name) => rm(join(data, name), { force: true })));
  const label = await readFile(join(data, 'backup_label'), 'utf8').catch(() => '');
  if (!/^START WAL LOCATION/m.test(label)) {
    throw new PgdrError(
      'ArchiveUnreadable',
      'the base backup has no backup_label: recovery would begin in the wrong place',
    );
  }
}
