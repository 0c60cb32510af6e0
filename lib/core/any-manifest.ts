import { type Manifest, parseManifest } from './manifest.ts';
import { type PhysicalManifest, parsePhysicalManifest } from './physical-manifest.ts';

/** The manifest of a backup of either kind, for what only its objects matter to. Throws `ManifestInvalid`. */
export function parseAnyManifest(text: string, key: string): Manifest | PhysicalManifest {
  return isPhysical(text) ? parsePhysicalManifest(text, key) : parseManifest(text, key);
}

function isPhysical(text: string): boolean {
  try {
    return JSON.parse(text)?.kind === 'physical';
  } catch {
    return false;
  }
}
