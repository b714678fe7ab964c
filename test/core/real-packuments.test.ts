import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { type TestContext, test } from 'node:test';
import { topTime } from '../../src/core/assembly.ts';
import { ABBREVIATED_MEMBERS } from '../../src/core/manifest.ts';
import { form, split, take } from '../support/assembled.ts';
import { CaptureError, capturedPackument } from '../support/capture.ts';

/** Old and new, scoped, with odd version numbers, install scripts, bundled dependencies, deprecated versions. */
const names = ['express', '@types/node', 'fsevents', 'JSONStream', 'colors', '@babel/core'];

type Versions = Record<string, Record<string, unknown> & { dist: Record<string, unknown> }>;

/** The registry's bytes; skips the test if they were never captured and the outside can't be reached. */
async function packumentOf(name: string, t: TestContext): Promise<Uint8Array | undefined> {
  try {
    const bytes = await capturedPackument(name);
    if (!bytes) t.skip(`the configured registry has no ${name}`);
    return bytes;
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    t.skip(`the configured registry can not be reached: ${error.message.split('\n')[0]}`);
    return undefined;
  }
}

/** Sets the tarball URL of each version to what `parsed` has, after checking that it is ours. */
function withUpstreamUrls(ours: Versions, upstream: Versions, prefix: string): Versions {
  for (const [version, { dist }] of Object.entries(ours)) {
    assert.ok(String(dist.tarball).startsWith(prefix), String(dist.tarball));
    dist.tarball = upstream[version]?.dist.tarball;
  }
  return ours;
}

for (const name of names) {
  test(`${name} comes out as it went in, but for the tarball URLs`, async (t) => {
    const bytes = await packumentOf(name, t);
    if (!bytes) return;
    const taken = take(bytes, name);
    const { _rev, _attachments, ...upstream } = JSON.parse(Buffer.from(bytes).toString());
    const full = JSON.parse(Buffer.from(form('full', taken, 'https://door.example')).toString());
    withUpstreamUrls(full.versions, upstream.versions, `https://door.example/${name}/-/`);
    assert.deepEqual(full, upstream);
    assert.deepEqual(Object.keys(full.versions), Object.keys(upstream.versions));
    assert.deepEqual(Object.fromEntries(topTime(taken.source.top) ?? []), upstream.time);
  });

  test(`${name} abbreviated has what an install needs of each version`, async (t) => {
    const bytes = await packumentOf(name, t);
    if (!bytes) return;
    const upstream = JSON.parse(Buffer.from(bytes).toString());
    const abbreviated = JSON.parse(Buffer.from(form('abbreviated', take(bytes, name), '')).toString());
    withUpstreamUrls(abbreviated.versions, upstream.versions, `/${name}/-/`);
    for (const [version, manifest] of Object.entries<Record<string, unknown>>(upstream.versions)) {
      const kept = Object.entries(manifest).filter(([key]) => ABBREVIATED_MEMBERS.has(key));
      const { hasInstallScript, ...others } = abbreviated.versions[version];
      assert.deepEqual(others, Object.fromEntries(kept.filter(([key]) => key !== 'hasInstallScript')));
      assert.equal(hasInstallScript === true, runsScripts(manifest), version);
    }
    assert.deepEqual(abbreviated.time, upstream.time);
    assert.equal(abbreviated.modified, upstream.time.modified);
  });
}

test('a real packument that was cut short is refused', async (t) => {
  const bytes = await packumentOf('express', t);
  if (!bytes) return;
  for (const part of [0.1, 0.5, 0.9, 0.999]) {
    assert.throws(() => split(bytes.subarray(0, bytes.length * part), 'express'), /ends too early/);
  }
});

function runsScripts(manifest: Record<string, unknown>): boolean {
  const { preinstall, install, postinstall } = (manifest.scripts ?? {}) as Record<string, unknown>;
  return Boolean(manifest.hasInstallScript || preinstall || install || postinstall || manifest.gypfile === true);
}
