import { readFileSync } from 'node:fs';
import { join, resolve as resolvePath } from 'node:path';
import type { Template } from './template.ts';

/** A stack of a cloud assembly (the folder that `cdk synth` writes), with its template loaded. */
export interface AssemblyStack {
  /** Unique in the assembly, and what other stacks' dependencies name. */
  readonly id: string;
  readonly name: string;
  /** The construct path, as `cdk deploy` takes it. */
  readonly displayName: string;
  /** undefined when the app leaves it open. */
  readonly account: string | undefined;
  readonly region: string;
  readonly template: Template;
  readonly parameters: Readonly<Record<string, string>>;
  readonly dependencies: readonly string[];
  /** The folder whose manifest lists the stack. */
  readonly directory: string;
}

/** A Docker image that the assembly asks to be built. */
export interface DockerImage {
  /** The build context: an absolute path inside the assembly. */
  readonly context: string;
  /** Relative to the context. */
  readonly dockerfile: string;
  readonly target: string | undefined;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly platform: string | undefined;
}

export interface Assembly {
  readonly directory: string;
  readonly stacks: readonly AssemblyStack[];
  /** The image behind `<account>.dkr.ecr.<region>.<suffix>/<repository>:<tag>`; undefined when it is no asset. */
  imageFor(imageUri: string): DockerImage | undefined;
  /** The file or folder behind an asset's key in the bootstrap bucket; undefined when it is no asset. */
  fileAsset(key: string): string | undefined;
}

/** Reads a cloud assembly, its nested assemblies (CDK stages) included. @throws Error naming what it does not know */
export function readAssembly(directory: string): Assembly {
  const root = resolvePath(directory);
  const stacks: AssemblyStack[] = [];
  const files = new Map<string, string>();
  const images = new Map<string, DockerImage>();

  const readFolder = (folder: string): void => {
    const manifest = readJson(join(folder, 'manifest.json')) as { artifacts?: Record<string, Artifact> };
    for (const [id, artifact] of Object.entries(manifest.artifacts ?? {})) {
      const properties = artifact.properties ?? {};
      switch (artifact.type) {
        case 'aws:cloudformation:stack':
          stacks.push(readStack(id, artifact, folder));
          break;
        case 'cdk:asset-manifest':
          readAssets(join(folder, String(properties.file)), folder, files, images);
          break;
        case 'cdk:cloud-assembly':
          readFolder(join(folder, String(properties.directoryName)));
          break;
        case 'none':
        case 'cdk:tree':
        case 'cdk:feature-flag-report':
          break;
        default:
          throw new Error(`${join(folder, 'manifest.json')}: unknown artifact type ${artifact.type} (${id}).`);
      }
    }
  };
  readFolder(root);

  return {
    directory: root,
    stacks,
    imageFor: (imageUri) => images.get(imageUri.slice(imageUri.lastIndexOf(':') + 1)),
    fileAsset: (key) => files.get(key),
  };
}

interface Artifact {
  readonly type: string;
  readonly environment?: string;
  readonly properties?: Record<string, unknown>;
  readonly dependencies?: string[];
  readonly displayName?: string;
}

function readStack(id: string, artifact: Artifact, folder: string): AssemblyStack {
  const properties = artifact.properties ?? {};
  const [, account = '', region = ''] = /^aws:\/\/([^/]+)\/([^/]+)$/.exec(artifact.environment ?? '') ?? [];
  if (region === '' || region === 'unknown-region')
    throw new Error(`The stack ${id} has no region: give it \`env: {region}\` in the CDK app.`);
  return {
    id,
    name: String(properties.stackName ?? id),
    displayName: artifact.displayName ?? id,
    account: account === 'unknown-account' ? undefined : account,
    region,
    template: readJson(join(folder, String(properties.templateFile))) as Template,
    parameters: (properties.parameters ?? {}) as Record<string, string>,
    dependencies: artifact.dependencies ?? [],
    directory: folder,
  };
}

interface AssetManifest {
  readonly files?: Record<
    string,
    {
      source: { path?: string; executable?: string[] };
      destinations: Record<string, { objectKey: string }>;
    }
  >;
  readonly dockerImages?: Record<
    string,
    {
      source: {
        directory?: string;
        executable?: string[];
        dockerFile?: string;
        dockerBuildTarget?: string;
        dockerBuildArgs?: Record<string, string>;
        platform?: string;
      };
      destinations: Record<string, { imageTag: string }>;
    }
  >;
}

function readAssets(
  manifestFile: string,
  folder: string,
  files: Map<string, string>,
  images: Map<string, DockerImage>,
): void {
  const manifest = readJson(manifestFile) as AssetManifest;
  for (const [id, { source, destinations }] of Object.entries(manifest.files ?? {})) {
    if (source.path === undefined) throw new Error(`${manifestFile}: asset ${id} is made by a command: unsupported.`);
    for (const { objectKey } of Object.values(destinations)) files.set(objectKey, join(folder, source.path));
  }
  for (const [id, { source, destinations }] of Object.entries(manifest.dockerImages ?? {})) {
    if (source.directory === undefined)
      throw new Error(`${manifestFile}: image ${id} is made by a command: unsupported.`);
    const image: DockerImage = {
      context: join(folder, source.directory),
      dockerfile: source.dockerFile ?? 'Dockerfile',
      target: source.dockerBuildTarget,
      buildArgs: source.dockerBuildArgs ?? {},
      platform: source.platform,
    };
    for (const { imageTag } of Object.values(destinations)) images.set(imageTag, image);
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot read ${file} of the cloud assembly (${reason}). Run \`cdk synth\` first.`);
  }
}

/** Sorts stacks so that each comes after those that it depends on. @throws Error naming a circle */
export function inDependencyOrder(stacks: readonly AssemblyStack[]): AssemblyStack[] {
  const byId = new Map(stacks.map((stack) => [stack.id, stack]));
  const sorted: AssemblyStack[] = [];
  const visiting: string[] = [];
  const visit = (stack: AssemblyStack): void => {
    if (sorted.includes(stack)) return;
    if (visiting.includes(stack.id)) throw new Error(`Stacks depend on one another: ${visiting.join(' → ')}.`);
    visiting.push(stack.id);
    for (const id of stack.dependencies) {
      const dependency = byId.get(id);
      if (dependency) visit(dependency);
    }
    visiting.pop();
    sorted.push(stack);
  };
  for (const stack of stacks) visit(stack);
  return sorted;
}
