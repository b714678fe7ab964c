/** What an upstream registry sends: packuments, manifests, hashes, keys and signatures. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { buildTop, topTime } from '../../src/core/assembly.ts';
import { text, utf8 } from '../../src/core/bytes.ts';
import { FederationError } from '../../src/core/errors.ts';
import { formatPinned, pinnedHashOf, sriOf, sriProves } from '../../src/core/integrity.ts';
import { expectEnd, skipValue } from '../../src/core/json-scan.ts';
import { skipSpace } from '../../src/core/json-tokens.ts';
import { publishableTags } from '../../src/core/learn.ts';
import { UPSTREAM_KEYS_BYTES_MAX } from '../../src/core/limits.ts';
import { abbreviate, pinsEqual, readPins, takeManifest } from '../../src/core/manifest.ts';
import { type SplitPackument, splitPackument } from '../../src/core/packument-split.ts';
import { parseUpstreamKeys, verifyUpstreamSignature } from '../../src/core/upstream-signature.ts';
import { pinned } from '../support/arbitrary.ts';
import { anyDocument } from '../support/json-text.ts';
import { manifestText, packumentText } from '../support/packument-text.ts';
import { protocolExample } from '../support/protocol-examples.ts';
import { altered, anyOf, anyText, asUtf8, json } from './inputs.ts';
import type { Target } from './target.ts';

const MANIFEST_TOKENS = [
  ...['"dist":', '"tarball":""', '"tarball":"https://a.example/p-1.0.0.tgz",', '"shasum":', '"integrity":"sha512-",'],
  ...[
    '"versions":',
    '"1.0.0":',
    '"time":',
    '"dist-tags":',
    '"name":"p",',
    '"scripts":null,',
    '"bin":[],',
    '"signatures":[{}]',
  ],
];

const spki = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey.export({ type: 'spki', format: 'der' });
const KIND = 'ecdsa-sha2-nistp256';
const upstreamKey = { keyid: 'SHA256:k', keytype: KIND, scheme: KIND, key: spki.toString('base64'), expires: null };

const keysDocument = json({ keys: [upstreamKey, { keytype: 'x', scheme: 'x' }] });
const packument = utf8(protocolExample('json', 'full').text.replaceAll('@example/hello', 'p'));
const manifest = json(JSON.parse(text(packument)).versions['1.0.0']);

/** The scanner accepts what `JSON.parse` accepts, limits and bytes that are not UTF-8 aside, and never more. */
function readJson(bytes: Uint8Array): void {
  expectEnd(bytes, skipValue(bytes, skipSpace(bytes, 0)));
  JSON.parse(Buffer.from(bytes).toString());
}

function readPackument(bytes: Uint8Array): void {
  const split = drained(splitPackument(bytes, 'p'));
  const parsed = JSON.parse(text(bytes)) as Record<string, Record<string, unknown>>;
  assert.deepEqual(parsed.name, 'p');
  const versions = Object.entries(parsed.versions ?? {});
  assert.equal(split.versions.length, versions.length);
  for (const [version, value] of versions) assert.deepEqual(manifestIn(split, version), value);
  assert.deepEqual({ ...split.distTags }, stringsIn(parsed['dist-tags']));
  assert.deepEqual(Object.fromEntries(split.time ?? []), stringsIn(parsed.time));
  readTop(split);
}

/** Nothing that was cut out of the document keeps the parts that are made of it from being read. */
function readTop({ time, rest, versions, distTags, distTagsBytes }: SplitPackument): void {
  const top = buildTop(time, rest);
  assert.deepEqual(topTime(top), time);
  JSON.parse(`{${text(top)}}`);
  const listed = new Set(versions.slice(0, 1).map(({ version }) => version));
  JSON.parse(text(publishableTags({ tags: distTags, bytes: distTagsBytes }, listed, null)));
  for (const { bytes, version } of versions) tryManifest(bytes, version);
}

/** One bad version must not take the others with it. */
function tryManifest(bytes: Uint8Array, version: string): void {
  try {
    readManifest(bytes, version);
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
  }
}

/** What is taken apart comes together again, byte for byte. */
function readManifest(bytes: Uint8Array, version = '1.0.0'): void {
  const { manifest, cut, abbreviated, abbreviatedCut, tarballUrl } = takeManifest(bytes, 'p', version);
  const url = bytes.subarray(cut, cut + bytes.length - manifest.length);
  assert.equal(JSON.parse(`"${text(url)}"`), tarballUrl);
  const whole = Buffer.concat([manifest.subarray(0, cut), url, manifest.subarray(cut)]);
  assert.deepEqual(whole, Buffer.from(bytes));
  assert.deepEqual(abbreviate(manifest, cut), { abbreviated, abbreviatedCut });
  assert.equal(JSON.parse(text(abbreviated)).dist.tarball, '');
  assert.ok(pinsEqual(readPins(manifest), readPins(bytes)));
}

function readIntegrity(bytes: Uint8Array): void {
  const integrity = anyText(bytes);
  const hash = pinnedHashOf({ integrity });
  pinnedHashOf({ shasum: integrity });
  if (hash === null) return;
  assert.equal(formatPinned(pinnedHashOf({ integrity: sriOf(hash) }) ?? hash), formatPinned(hash));
  if (sriProves(integrity, hash)) assert.equal(hash.algorithm, 'sha512');
}

function readSignature(bytes: Uint8Array): void {
  const sig = anyText(bytes);
  const facts = { name: 'p', version: '1.0.0', integrity: 'sha512-AA==', keys: [upstreamKey], publishedAt: 0 };
  assert.equal(verifyUpstreamSignature({ ...facts, signatures: [{ keyid: upstreamKey.keyid, sig }] }).ok, false);
}

function manifestIn(split: SplitPackument, version: string): unknown {
  const found = split.versions.filter((one) => one.version === version);
  assert.equal(found.length, 1);
  return JSON.parse(text((found[0] as (typeof found)[0]).bytes));
}

const stringsIn = (object: Record<string, unknown> = {}): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => typeof value === 'string'));

function drained<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

export const UPSTREAM_TARGETS: readonly Target[] = [
  {
    name: 'json',
    valid: asUtf8(anyDocument),
    read: readJson,
    tokens: ['tru', '1e', '"\\u', '\\x', '-0', '01', '['.repeat(70)],
  },
  {
    name: 'packument',
    valid: asUtf8(packumentText('p')),
    odd: altered(packument),
    read: readPackument,
    tokens: MANIFEST_TOKENS,
  },
  {
    name: 'manifest',
    valid: asUtf8(manifestText('p', '1.0.0')),
    odd: altered(manifest),
    read: readManifest,
    tokens: MANIFEST_TOKENS,
  },
  {
    name: 'integrity',
    valid: asUtf8(fc.array(pinned.map(sriOf), { maxLength: 3 }).map((hashes) => hashes.join(' '))),
    read: readIntegrity,
    tokens: ['sha512-', 'sha1-', '?opt', '==', 'constructor-', 'toString-AA==', ' ', '__proto__-AAAA'],
  },
  {
    name: 'upstream-keys',
    valid: fc.constant(keysDocument),
    odd: altered(keysDocument),
    read: (bytes) => void parseUpstreamKeys(bytes),
    tokens: ['"keys":', '"expires":"2025-01-29T00:00:00.000Z"', '"expires":', '{"toString":1}', '"keyid":'],
    bytesMax: UPSTREAM_KEYS_BYTES_MAX,
  },
  { name: 'upstream-signature', valid: anyOf('MEUCIQ==', 'AAAA'), read: readSignature, tokens: ['MEUCIQC', '=='] },
];
