import { assemble, buildTop, type FormKind, type FormSource } from '../../src/core/assembly.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import type { VersionEntry } from '../../src/core/head.ts';
import { takeManifest } from '../../src/core/manifest.ts';
import { type SplitPackument, splitPackument } from '../../src/core/packument-split.ts';

/** What a packument became: the source of its forms, the blobs by SHA-256, and the upstream's tarball URLs. */
export type Taken = { source: FormSource; blobs: Map<string, Uint8Array>; urls: string[] };

/** Splits in one go. */
export function split(bytes: Uint8Array, name: string): SplitPackument {
  const steps = splitPackument(bytes, name);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Takes every version of a packument, as an origin does without pins. */
export function take(bytes: Uint8Array, name: string): Taken {
  const parts = split(bytes, name);
  const blobs = new Map<string, Uint8Array>();
  const urls: string[] = [];
  const keep = (blob: Uint8Array) => {
    const hash = sha256Hex(blob);
    blobs.set(hash, blob);
    return hash;
  };
  const entries = parts.versions.map(({ version, bytes: raw }): VersionEntry => {
    const { manifest, cut, abbreviated, abbreviatedCut, file, pinned, tarballUrl } = takeManifest(raw, name, version);
    urls.push(tarballUrl);
    const blob = { manifest: keep(manifest), cut, file, abbreviated: keep(abbreviated), abbreviatedCut };
    return { version, ...blob, pinned: pinned ?? { algorithm: 'sha1', hex: '0'.repeat(40) } };
  });
  const top = buildTop(
    parts.time,
    parts.rest,
    parts.versions.map(({ version }) => version),
  );
  return { source: { name, tags: parts.distTagsBytes, top, entries }, blobs, urls };
}

/** A form of what was taken, as bytes. */
export function form(kind: FormKind, { source, blobs }: Taken, base: string): Uint8Array {
  return assemble(kind, source, base, (hash) => {
    const blob = blobs.get(hash);
    if (blob === undefined) throw new Error(`no blob ${hash} was taken`);
    return blob;
  });
}
