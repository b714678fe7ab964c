/**
 * What a large packument costs the origin: splitting, taking each version, assembling and hashing both forms.
 *
 *     node bench/packument.ts              a made-up one of 40 MB
 *     node bench/packument.ts typescript   a real one, fetched once through npm
 *
 * Steps are what runs between two chances to give way to the event loop, so the longest one is how long a request can
 * be held up. Memory is that of the whole process, and the largest before `JSON.parse` has its turn, for comparison.
 */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { buildTop, type FormKind, type FormSource, formParts } from '../src/core/assembly.ts';
import { sha256Hex } from '../src/core/hash.ts';
import type { VersionEntry } from '../src/core/head.ts';
import { type TakenManifest, takeManifest } from '../src/core/manifest.ts';
import { type SplitPackument, splitPackument } from '../src/core/packument-split.ts';
import { capturedPackument } from '../test/support/capture.ts';

type Timing = { ms: number; longestMs: number };
type Taken = { source: FormSource; blobs: Map<string, Uint8Array> };

const ROUNDS = 5;
const MB = 1_000_000;

const name = process.argv[2] ?? 'large';
const bytes = process.argv[2] === undefined ? madeUp(40 * MB) : await captured(name);
const restingMb = process.memoryUsage.rss() / MB;

const rows = new Map<string, Timing[]>();
for (let round = 0; round < ROUNDS; round += 1) run();
const peakMb = (process.resourceUsage().maxRSS * 1024) / MB;
timed('JSON.parse, whole', parseWhole());

print();

function run(): void {
  const parts = timed('split', splitPackument(bytes, name));
  const taken = timed('take every version', takeAll(parts));
  timed('assemble and hash, full', hashForm('full', taken));
  timed('assemble and hash, abbreviated', hashForm('abbreviated', taken));
}

function timed<T>(what: string, steps: Generator<void, T>): T {
  const timing = { ms: 0, longestMs: 0 };
  rows.set(what, [...(rows.get(what) ?? []), timing]);
  for (;;) {
    const start = performance.now();
    const step = steps.next();
    const ms = performance.now() - start;
    timing.ms += ms;
    timing.longestMs = Math.max(timing.longestMs, ms);
    if (step.done) return step.value;
  }
}

function* takeAll(parts: SplitPackument): Generator<void, Taken> {
  const blobs = new Map<string, Uint8Array>();
  const entries: VersionEntry[] = [];
  for (const { version, bytes: raw } of parts.versions) {
    entries.push(entryOf(version, takeManifest(raw, name, version), blobs));
    yield;
  }
  return { source: { name, tags: parts.distTagsBytes, top: buildTop(parts.time, parts.rest), entries }, blobs };
}

function entryOf(version: string, taken: TakenManifest, blobs: Map<string, Uint8Array>): VersionEntry {
  const { manifest, cut, file, abbreviated, abbreviatedCut, pinned } = taken;
  if (pinned === null) throw new Error(`${version} has no hash`);
  const [full, short] = [sha256Hex(manifest), sha256Hex(abbreviated)];
  blobs.set(full, manifest).set(short, abbreviated);
  return { version, manifest: full, cut, file, abbreviated: short, abbreviatedCut, pinned };
}

function* hashForm(kind: FormKind, { source, blobs }: Taken): Generator<void, string> {
  const hash = createHash('sha256');
  for (const part of formParts(kind, source, '')) {
    if ('bytes' in part) hash.update(part.bytes);
    else {
      const blob = blobs.get(part.blob) ?? Buffer.alloc(0);
      hash.update(blob.subarray(0, part.cut)).update(part.insert).update(blob.subarray(part.cut));
    }
    yield;
  }
  return hash.digest('hex');
}

function print(): void {
  const size = bytes.length / MB;
  console.log(`packument of ${name}: ${size.toFixed(1)} MB, ${ROUNDS} rounds\n`);
  console.log(`${''.padEnd(32)}   first ms    best ms   best MB/s   longest step ms: first, best`);
  for (const [what, timings] of rows) console.log(row(what, timings, size));
  console.log(`\nmemory: ${restingMb.toFixed(0)} MB with the packument's bytes, ${peakMb.toFixed(0)} MB at most`);
}

function row(what: string, timings: readonly Timing[], size: number): string {
  const best = Math.min(...timings.map(({ ms }) => ms));
  const calmest = Math.min(...timings.map(({ longestMs }) => longestMs));
  const [first = { ms: 0, longestMs: 0 }] = timings;
  const numbers = [first.ms.toFixed(0), best.toFixed(0), (size / (best / 1000)).toFixed(0)];
  const steps = [first.longestMs.toFixed(1).padStart(22), calmest.toFixed(1).padStart(6)];
  return [what.padEnd(32), ...numbers.map((number) => number.padStart(10)), ...steps].join(' ');
}

function* parseWhole(): Generator<void, unknown> {
  yield;
  return JSON.parse(Buffer.from(bytes).toString());
}

async function captured(wanted: string): Promise<Uint8Array> {
  const found = await capturedPackument(wanted);
  if (!found) throw new Error(`the configured registry has no ${wanted}`);
  return found;
}

/** Versions of about 11 kB each, as packages with many dependencies and a nightly release have them. */
function madeUp(size: number): Uint8Array {
  const parts = [Buffer.from(`{"_id":"${name}","name":"${name}","dist-tags":{"latest":"1.0.0"},"versions":{`)];
  const times: string[] = [];
  for (let length = 0; length < size; length += parts.at(-1)?.length ?? 0) {
    const version = `1.0.${times.length}`;
    parts.push(Buffer.from(`${times.length === 0 ? '' : ','}"${version}":${JSON.stringify(madeUpManifest(version))}`));
    times.push(`"${version}":"2020-01-01T00:00:00.000Z"`);
  }
  const readme = JSON.stringify('# Large\n'.repeat(5_000));
  return Buffer.concat([...parts, Buffer.from(`},"time":{${times.join(',')}},"readme":${readme}}`)]);
}

function madeUpManifest(version: string): object {
  const many = (count: number, prefix: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`@scope/${prefix}-${index}`, `^${index}.2.3`]));
  return {
    name,
    version,
    description: 'Made up, of the size and shape that large real ones have.',
    scripts: many(20, 'script'),
    dependencies: many(60, 'dependency'),
    devDependencies: many(180, 'tool'),
    exports: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`./part-${i}`, { import: `./dist/${i}.js` }])),
    dist: {
      integrity: `sha512-${createHash('sha512').update(version).digest('base64')}`,
      tarball: `https://registry.example/${name}/-/${name}-${version}.tgz`,
      signatures: [{ keyid: 'SHA256:made-up', sig: 'bWFkZSB1cA==' }],
    },
  };
}
