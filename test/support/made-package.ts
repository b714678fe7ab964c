import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { capturedBase } from './capture.ts';
import type { MadePackage, Manifest } from './upstream-packages.ts';

/** A package of the test's own making: one version per key, with what its manifest says besides the usual. */
export function madePackage(name: string, versions: Record<string, Partial<Manifest>>): MadePackage {
  const tarballs: Record<string, Buffer> = {};
  const manifests: Record<string, Manifest> = {};
  const time: Record<string, string> = { created: '2020-01-01T00:00:00.000Z', modified: '2020-02-01T00:00:00.000Z' };
  for (const [version, more] of Object.entries(versions)) {
    const tarball = gzipSync(`the tarball of ${name}@${version}`);
    tarballs[version] = tarball;
    manifests[version] = { name, version, ...more, dist: { ...distOf(name, version, tarball), ...more.dist } };
    time[version] = `2020-01-${String(Object.keys(tarballs).length).padStart(2, '0')}T00:00:00.000Z`;
  }
  const latest = Object.keys(versions).at(-1) ?? '';
  return { packument: { name, 'dist-tags': { latest }, versions: manifests, time }, tarballs };
}

export function sriOf(bytes: Uint8Array): string {
  return `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
}

function distOf(name: string, version: string, tarball: Buffer): Manifest['dist'] {
  const file = `${name.replace(/^.*\//, '')}-${version}.tgz`;
  const shasum = createHash('sha1').update(tarball).digest('hex');
  return { tarball: `${capturedBase}${name}/-/${file}`, integrity: sriOf(tarball), shasum };
}
