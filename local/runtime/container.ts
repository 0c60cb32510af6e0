import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { canReach, containerIdentity, type Identity, readingLauncher } from './container-user.ts';
import { type ImageConfiguration, readDockerfile } from './dockerfile.ts';
import { enterRoot, type ImageRoot, identityWithin } from './image-root.ts';
import { type Sandbox, startSandbox } from './processes.ts';
import type { ContainerOverride } from './run-task-input.ts';
import type { ContainerDefinition } from './task-definition.ts';

/** What stands for an image: the folder it would be built from, and how. */
export interface ContainerImage {
  readonly context: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** @default 'Dockerfile' */
  readonly dockerfile?: string;
  readonly target?: string;
}

export interface ContainerOptions {
  readonly definition: ContainerDefinition;
  readonly override?: ContainerOverride;
  readonly image: ContainerImage;
  /** The image itself, where it was built. */
  readonly root?: ImageRoot;
  /** Without one, folders that hold what the image would: put first on the PATH. */
  readonly path: readonly string[];
  /** The task's own folder: its ephemeral storage, removed with it. */
  readonly directory: string;
  /** Variables that ECS itself sets, and secrets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly onLine: (line: string, from: 'stdout' | 'stderr') => void;
}

/** Starts a container as a process of this machine, inside its image's root where there is one. */
export function startContainer(options: ContainerOptions): Promise<Sandbox> {
  const { root } = options;
  return root ? startRooted(options, root) : startPlain(options);
}

/** Inside the image's own root file system, with the volumes of the task mounted. */
async function startRooted(options: ContainerOptions, root: ImageRoot): Promise<Sandbox> {
  const { definition, override } = options;
  if (process.getuid?.() !== 0) throw new Error('an image is entered by chroot, which takes root');
  const { configuration } = root;
  const user = definition.user ?? configuration.user;
  const mounts = makeMounts(options);
  for (const mount of mounts) own(mount.folder, identityWithin(root.directory, user));
  const given = [...definition.environment, ...(override?.environment ?? [])];
  const command = enterRoot({
    root: root.directory,
    user,
    workingDirectory: definition.workingDirectory ?? configuration.workingDirectory ?? '/',
    readOnly: definition.readonlyRootFilesystem === true,
    mounts,
    command: commandLineOf(options, configuration),
  });
  return startSandbox({
    command,
    directory: options.directory,
    environment: {
      ...configuration.environment,
      ...options.environment,
      ...Object.fromEntries(given.map(({ name, value }) => [name, String(value)])),
      // Processes that leave the group are known by it when the container ends.
      CONTAINER_STORAGE: `${options.directory}/`,
    },
    onLine: options.onLine,
  });
}

function commandLineOf({ definition, override }: ContainerOptions, built: ImageConfiguration): readonly string[] {
  const entryPoint = definition.entryPoint ?? built.entryPoint ?? [];
  // As in Docker, an entry point of one's own drops the image's CMD.
  const builtCommand = definition.entryPoint ? undefined : built.command;
  const commandLine = [...entryPoint, ...(override?.command ?? definition.command ?? builtCommand ?? [])].map(String);
  if (commandLine.length === 0) throw new Error('No command specified');
  return commandLine;
}

/**
 * Without the image: its working directory is the build context; its ENTRYPOINT, CMD, USER and ENV are read from the
 * Dockerfile. There is no root file system of its own: a volume is a folder of the task, and values that name its
 * mount point are turned into that folder's path.
 */
async function startPlain(options: ContainerOptions): Promise<Sandbox> {
  const { definition, override, image } = options;
  const built = imageConfiguration(image);
  const mounts = makeMounts(options);
  const translate = (value: string) => translatePath(value, mounts);
  const { PATH: _path, HOME: _home, ...imageVariables } = built.environment;
  const environment: Record<string, string> = {};
  const given = [
    ...Object.entries(imageVariables),
    ...definition.environment.map(({ name, value }) => [name, value] as const),
    ...(override?.environment ?? []).map(({ name, value }) => [name, value] as const),
  ];
  for (const [name, value] of given) environment[name] = translate(String(value));

  const identity = containerIdentity(definition.user ?? built.user);
  const home = ownFolder(options.directory, 'home', identity);
  const temporary = ownFolder(options.directory, 'tmp', identity);
  for (const mount of mounts) own(mount.folder, identity);
  const full = {
    PATH: [...options.path, dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    HOME: home,
    TMPDIR: temporary,
    ...options.environment,
    ...environment,
  };
  if (full.TMPDIR === '/tmp') full.TMPDIR = temporary;

  const commandLine = commandLineOf(options, built).map(translate);
  const directory = workingDirectory(definition.workingDirectory, image.context);
  const folders = [directory, dirname(process.execPath), ...options.path];
  const isHidden = identity !== undefined && folders.some((folder) => !canReach(identity, folder));
  const launcher = isHidden ? readingLauncher(identity) : undefined;
  try {
    return await startSandbox({
      command: [...(launcher ?? []), ...commandLine],
      directory,
      environment: full,
      // The launcher changes the identity by itself.
      ...(!launcher && identity),
      onLine: options.onLine,
    });
  } catch (error) {
    throw explained(error, commandLine[0] ?? '', identity, directory);
  }
}

function imageConfiguration(image: ContainerImage): ImageConfiguration {
  const file = join(image.context, image.dockerfile ?? 'Dockerfile');
  if (!existsSync(file)) return { environment: {} };
  return readDockerfile(readFileSync(file, 'utf8'), image.buildArgs, image.target);
}

function workingDirectory(given: string | undefined, context: string): string {
  if (!given) return context;
  const folder = isAbsolute(given) ? given : join(context, given);
  if (!existsSync(folder)) throw new Error(`the working directory ${given} does not exist`);
  return folder;
}

interface Mount {
  readonly containerPath: string;
  readonly folder: string;
}

function makeMounts(options: ContainerOptions): Mount[] {
  return options.definition.mountPoints
    .map(({ sourceVolume, containerPath }) => {
      const folder = join(options.directory, 'volumes', sourceVolume);
      mkdirSync(folder, { recursive: true });
      return { containerPath: containerPath.replace(/\/+$/, ''), folder };
    })
    .toSorted((a, b) => b.containerPath.length - a.containerPath.length);
}

function translatePath(value: string, mounts: readonly Mount[]): string {
  const mount = mounts.find(({ containerPath }) => value === containerPath || value.startsWith(`${containerPath}/`));
  return mount ? mount.folder + value.slice(mount.containerPath.length) : value;
}

function ownFolder(parent: string, name: string, identity: Identity | undefined): string {
  const folder = join(parent, name);
  mkdirSync(folder, { recursive: true });
  own(folder, identity);
  return folder;
}

function own(folder: string, identity: Identity | undefined): void {
  chmodSync(folder, 0o700);
  if (!identity) return;
  chownSync(folder, identity.uid, identity.gid);
}

function explained(error: unknown, command: string, identity: Identity | undefined, context: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') {
    return new Error(`exec: "${command}": executable file not found in $PATH (working directory ${context})`);
  }
  if (code === 'EACCES' && identity) {
    return new Error(
      `exec: "${command}": user ${identity.uid}:${identity.gid} may not reach it or ${context}. ` +
        'Try: keep the checkout where other users may read it, or run as an ordinary user',
    );
  }
  return new Error(`exec: "${command}": ${message}`);
}
