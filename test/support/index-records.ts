import fc from 'fast-check';
import type { Entry } from '../../src/core/entry.ts';
import { asReason } from '../../src/core/fields.ts';
import type { Head, VersionEntry } from '../../src/core/head.ts';
import { formatVkey, hostIdOf } from '../../src/core/note.ts';
import { codePoint, count, hex, pinned, record, version, visible } from './arbitrary.ts';

const name = visible(214);
const token = visible(256);
const reason = fc.string({ unit: codePoint, maxLength: 100 }).map(asReason);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const identity = bytes(32).map((publicKey) => {
  const host = hostIdOf(publicKey);
  return { host, key: formatVkey(`host/${host}`, publicKey) };
});
const url = fc.constantFrom('https://mirror.example', 'http://127.0.0.1:4873', 'http://[::1]:1');
const base64 = fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString('base64'));

/** One generator for each kind, so that a kind without tests does not compile. */
const byKind: { [K in Entry['kind']]: fc.Arbitrary<Omit<Extract<Entry, { kind: K }>, 'kind'>> } = {
  learned: record({ time: count, name, head: hex(64) }),
  'learned-version': record({ time: count, name, version, entry: hex(64) }),
  measured: record({ time: count, pinned, sha512: hex(128), size: count, chunks: hex(64), list: hex(64) }).map(
    (entry) => (entry.pinned.algorithm === 'sha512' ? { ...entry, sha512: entry.pinned.hex } : entry),
  ),
  withdraw: record({ time: count, name, version: fc.oneof(version, fc.constant('*')), deadline: count, reason }),
  repin: record({ time: count, name, version, entry: hex(64), reason }),
  'upstream-key': record({
    time: count,
    keyid: token,
    keytype: token,
    scheme: token,
    key: base64,
    expires: fc.option(count, { nil: null }),
    by: fc.constantFrom('first-sight', 'admin'),
  }),
  'host-admit': fc.tuple(count, identity, url).map(([time, { host, key }, at]) => ({ time, host, url: at, key })),
  'host-evict': record({ time: count, host: hex(16), reason }),
  'log-key': fc
    .tuple(count, fc.uniqueArray(bytes(32), { minLength: 2, maxLength: 2, selector: String }), bytes(64))
    .map(([time, [previous, key], signature]) => ({
      time,
      previous: formatVkey('log.example', previous as Uint8Array),
      key: formatVkey('log.example', key as Uint8Array),
      signature: Buffer.from(signature).toString('base64'),
    })),
  commit: record({ time: count }),
};
export const entryKinds = Object.keys(byKind);

/** Any journal entry. */
export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  ...Object.entries(byKind).map(([kind, fields]) =>
    (fields as fc.Arbitrary<object>).map((entry) => ({ ...entry, kind }) as Entry),
  ),
);

const fileLetters = fc.constantFrom(..."aZ09._~!'()*+-");
/** Any version entry. */
export const anyVersionEntry: fc.Arbitrary<VersionEntry> = record({
  version,
  manifest: hex(64),
  cut: count,
  file: fc.string({ unit: fileLetters, minLength: 1, maxLength: 100 }).map((stem) => `${stem}.tgz`),
  abbreviated: hex(64),
  abbreviatedCut: count,
  pinned,
});
const form = record({ size: count, sha256: hex(64) });
/** Any head, with as many pages as its versions need. */
export const anyHead: fc.Arbitrary<Head> = record({
  name: visible(214),
  seq: count.filter((seq) => seq > 0),
  assembly: fc.constant('assembly/1' as const),
  tags: hex(64),
  top: hex(64),
  versions: record({ count: fc.nat(1_000), root: hex(64) }),
  full: form,
  abbreviated: form,
}).chain((head) => {
  const pages = Math.ceil(head.versions.count / 256);
  return fc.array(hex(64), { minLength: pages, maxLength: pages }).map((hashes) => ({ ...head, pages: hashes }));
});
