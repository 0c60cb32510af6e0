import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enterRoot, identityWithin, readImageRoot } from '../../local/runtime/image-root.ts';

/** Debian's own tools in a folder of their own make the smallest image that a process can run in. */
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'image-root-'));
  const root = join(folder, 'root');
  for (const place of ['etc', 'proc', 'dev', 'work', 'usr/bin', 'app'])
    mkdirSync(join(root, place), { recursive: true });
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0::/:/bin/sh\nworker:x:4711:4712::/work:/bin/sh\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\nstaff:x:50:\n');
  const config = { User: 'worker', Env: ['A=1', 'B=x=y'], Entrypoint: ['node'], Cmd: null, WorkingDir: '/app' };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('an image that was built', () => {
  it('is read with its configuration', () => {
    expect(readImageRoot(folder)).toEqual({
      directory: join(folder, 'root'),
      configuration: {
        environment: { A: '1', B: 'x=y' },
        user: 'worker',
        entryPoint: ['node'],
        workingDirectory: '/app',
      },
    });
  });

  it('knows its users by its own lists', () => {
    const root = join(folder, 'root');
    expect(identityWithin(root, 'worker')).toEqual({ uid: 4711, gid: 4712 });
    expect(identityWithin(root, 'worker:staff')).toEqual({ uid: 4711, gid: 50 });
    expect(identityWithin(root, '1234')).toEqual({ uid: 1234, gid: 0 });
    expect(identityWithin(root, undefined)).toEqual({ uid: 0, gid: 0 });
    expect(() => identityWithin(root, 'nobody-here')).toThrow('unable to find user nobody-here');
    expect(() => identityWithin(root, 'worker:none')).toThrow('unable to find group none');
  });

  const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
  it.runIf(isRoot)('runs a process as its user, with a volume, under a root that cannot be written', () => {
    const root = join(folder, 'root');
    // This machine's programs and libraries stand in for the image's.
    for (const place of ['usr', 'lib', 'lib64', 'bin']) mkdirSync(join(root, place), { recursive: true });
    const volume = join(folder, 'volume');
    mkdirSync(volume, { mode: 0o777 });
    execFileSync('chmod', ['777', volume]);
    const [file = '', ...words] = enterRoot({
      root,
      user: 'worker',
      workingDirectory: '/work',
      readOnly: true,
      mounts: [
        { folder: '/usr', containerPath: '/usr' },
        { folder: '/lib', containerPath: '/lib' },
        { folder: '/lib64', containerPath: '/lib64' },
        { folder: '/bin', containerPath: '/bin' },
        { folder: volume, containerPath: '/work' },
      ],
      command: ['sh', '-c', 'id -u; id -g; pwd; touch here && echo wrote; touch /etc/x || echo refused; echo $KEEP'],
    });
    const said = execFileSync(file, words, {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', KEEP: 'kept' },
      stdio: 'pipe',
    });
    expect(said.trim().split('\n')).toEqual(['4711', '4712', '/work', 'wrote', 'refused', 'kept']);
  });
});
