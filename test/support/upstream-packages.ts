import { capturedBase, capturedPackument, capturedTarball } from './capture.ts';
import type { Signer } from './upstream-signing.ts';

export interface Dist {
  tarball: string;
  integrity?: string;
  shasum?: string;
  signatures?: { keyid: string; sig: string }[];
  [key: string]: unknown;
}

export interface Manifest {
  name: string;
  version: string;
  dist: Dist;
  deprecated?: string;
  [key: string]: unknown;
}

export interface Packument {
  name: string;
  'dist-tags': Record<string, string>;
  versions: Record<string, Manifest>;
  time: Record<string, string>;
  [key: string]: unknown;
}

/** A package of the test's own making; tarballs by version. */
export interface MadePackage {
  readonly packument: Packument;
  readonly tarballs: Readonly<Record<string, Buffer>>;
}

/** Keys of a manifest that the abbreviated form keeps (npm/registry, docs/responses/package-metadata.md). */
const abbreviatedKeys = [
  ...['name', 'version', 'deprecated', 'dependencies', 'optionalDependencies', 'devDependencies', 'bundleDependencies'],
  ...[
    'bundledDependencies',
    'peerDependencies',
    'peerDependenciesMeta',
    'bin',
    'directories',
    'dist',
    'engines',
    'cpu',
    'os',
  ],
  ...['libc', 'funding', 'hasInstallScript', '_hasShrinkwrap'],
];

/** Captured packuments may have lost what their authors said; these packages were deprecated in words like these. */
const deprecations: Record<string, string | undefined> = {
  'left-pad': 'use String.prototype.padStart()',
  '@tootallnate/once': 'superseded by events.once()',
};

/** The packages that an upstream has: real ones, with the edits that a test asked for. */
export class UpstreamPackages {
  readonly #real: boolean;
  readonly #made = new Map<string, MadePackage>();
  readonly #withdrawn = new Set<string>();
  readonly #edits = new Map<string, ((packument: Packument) => void)[]>();
  readonly #rendered = new Map<string, Packument | undefined>();
  /** Signs every version that has an integrity; undefined for a registry without signatures. */
  signer: Signer | undefined;

  constructor(real: boolean) {
    this.#real = real;
  }

  put(made: MadePackage): void {
    this.#made.set(made.packument.name, made);
    this.#rendered.delete(made.packument.name);
  }

  /** Removes a version, or a whole package, as registries do with malware; its tarballs go, too. */
  withdraw(name: string, version?: string): void {
    this.#withdrawn.add(version === undefined ? name : `${name}@${version}`);
    this.#rendered.delete(name);
  }

  restore(name: string, version?: string): void {
    this.#withdrawn.delete(version === undefined ? name : `${name}@${version}`);
    this.#rendered.delete(name);
  }

  /** Changes what is said of a package from now on, after signing: signatures stay those of the old values. */
  mutate(name: string, edit: (packument: Packument) => void): void {
    this.#edits.set(name, [...(this.#edits.get(name) ?? []), edit]);
    this.#rendered.delete(name);
  }

  sign(signer: Signer | undefined): void {
    this.signer = signer;
    this.#rendered.clear();
  }

  /** Tarball URLs start with `capturedBase`. */
  async packument(name: string): Promise<Packument | undefined> {
    if (this.#withdrawn.has(name)) return undefined;
    if (!this.#rendered.has(name)) this.#rendered.set(name, await this.#render(name));
    return this.#rendered.get(name);
  }

  async tarball(name: string, version: string): Promise<Buffer | undefined> {
    if (this.#withdrawn.has(name) || this.#withdrawn.has(`${name}@${version}`)) return undefined;
    return this.#made.get(name)?.tarballs[version] ?? (this.#isOurs(name) ? undefined : capturedTarball(name, version));
  }

  #isOurs(name: string): boolean {
    return this.#made.has(name) || !this.#real;
  }

  async #render(name: string): Promise<Packument | undefined> {
    const packument =
      structuredClone(this.#made.get(name)?.packument) ?? (this.#isOurs(name) ? undefined : await captured(name));
    if (!packument) return undefined;
    this.#removeWithdrawn(packument);
    deprecate(packument);
    if (this.signer) signAll(packument, this.signer);
    for (const edit of this.#edits.get(name) ?? []) edit(packument);
    return packument;
  }

  #removeWithdrawn({ name, versions, 'dist-tags': tags }: Packument): void {
    for (const version of Object.keys(versions)) {
      if (!this.#withdrawn.has(`${name}@${version}`)) continue;
      delete versions[version];
      for (const [tag, target] of Object.entries(tags)) if (target === version) delete tags[tag];
    }
  }
}

/** The install form of a packument. */
export function abbreviated(packument: Packument): object {
  const { name, versions, time, 'dist-tags': tags } = packument;
  const modified = Object.values(time).sort().at(-1);
  const kept = Object.entries(versions).map(([version, manifest]) => [version, picked(manifest)]);
  return { name, modified, 'dist-tags': tags, versions: Object.fromEntries(kept) };
}

/** Text of a document with its tarballs under the server's own base. */
export function printed(document: unknown, base: string): string {
  return JSON.stringify(document).replaceAll(`"tarball":"${capturedBase}`, `"tarball":"${base}/`);
}

async function captured(name: string): Promise<Packument | undefined> {
  const bytes = await capturedPackument(name);
  return bytes && JSON.parse(bytes.toString());
}

function deprecate({ name, versions }: Packument): void {
  const message = deprecations[name];
  if (message === undefined) return;
  for (const manifest of Object.values(versions)) manifest.deprecated = message;
}

function signAll({ name, versions }: Packument, signer: Signer): void {
  for (const [version, { dist }] of Object.entries(versions)) {
    if (dist.integrity) dist.signatures = [signer.signature(name, version, dist.integrity)];
  }
}

function picked(manifest: Manifest): object {
  return Object.fromEntries(abbreviatedKeys.filter((key) => key in manifest).map((key) => [key, manifest[key]]));
}
