import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageRoot, readImageRoot } from '../../../local/runtime/image-root.ts';
import { CliError, exitCode } from '../errors.ts';
import { stateDirectory } from './assembly.ts';

/** The images that `node bin/image.mjs` built, by major. @throws CliError when one is not there or cannot be entered */
export function findImages(majors: readonly number[]): ReadonlyMap<number, ImageRoot> {
  const intact = 'Nothing was started.';
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new CliError('ImageNotPossible', 'An image is entered by chroot, which takes Linux and root.', {
      exit: exitCode.failed,
      intact,
      tryNext: 'Run it with sudo, or without --image: then the tasks run with the tools of this machine.',
    });
  }
  const missing = [...new Set(majors)].filter((major) => !existsSync(join(folderOf(major), 'config.json')));
  if (missing.length > 0) {
    throw new CliError('ImageMissing', `No image was built for PostgreSQL ${missing.join(' and ')}.`, {
      exit: exitCode.failed,
      intact,
      tryNext: `Run \`node bin/image.mjs ${missing.join(' ')}\`, which builds tasks/Dockerfile without a Docker engine.`,
    });
  }
  return new Map(majors.map((major) => [major, readImageRoot(folderOf(major))]));
}

const folderOf = (major: number): string => join(stateDirectory, 'images', String(major));
