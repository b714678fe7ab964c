import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildTop, type FormKind, formParts, manifestForm, topTime } from '../../src/core/assembly.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { formatVersionEntry, parseHead } from '../../src/core/head.ts';
import { ABBREVIATED_MEMBERS } from '../../src/core/manifest.ts';
import { openPages } from '../../src/core/pages.ts';
import { form, type Taken, take } from '../support/assembled.ts';
import { packageNames, packumentText } from '../support/packument-text.ts';
import { protocolBlob, protocolExample } from '../support/protocol-examples.ts';

type Json = { [key: string]: unknown };

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const parse = (bytes: Uint8Array) => JSON.parse(text(bytes));
const base = 'https://door.example';

const anyPackument = fc
  .constantFrom(...packageNames)
  .chain((name) => fc.tuple(fc.constant(name), packumentText(name)))
  .map(([name, source]) => ({ name, source, taken: take(Buffer.from(source), name) }));

/** The upstream's document as a door should say it: other tarball URLs, only times that are strings, nothing of CouchDB's. */
function expectedFull(name: string, source: string): Json {
  const { _rev, _attachments, ...packument } = JSON.parse(source);
  for (const [version, manifest] of Object.entries<Json>(packument.versions)) {
    (manifest.dist as Json).tarball = `${base}/${name}/-/p-${version}.tgz`;
  }
  if (packument.time === undefined) return packument;
  const times = Object.entries(packument.time).filter(([, value]) => typeof value === 'string');
  return { ...packument, time: Object.fromEntries(times) };
}

function expectedAbbreviated(full: Json): Json {
  const versions = Object.entries(full.versions as Json).map(([version, manifest]) => {
    return [version, abbreviatedManifest(manifest as Json)];
  });
  const modified = (full.time as Json | undefined)?.modified;
  return {
    name: full.name,
    'dist-tags': full['dist-tags'],
    versions: Object.fromEntries(versions),
    ...(modified === undefined ? {} : { modified }),
    ...(full.time === undefined ? {} : { time: full.time }),
  };
}

function abbreviatedManifest(manifest: Json): Json {
  const kept = Object.entries(manifest).filter(([key]) => ABBREVIATED_MEMBERS.has(key));
  const { preinstall, install, postinstall } = (manifest.scripts ?? {}) as Json;
  const runs = preinstall || install || postinstall || manifest.gypfile === true;
  const added = runs && !Object.hasOwn(manifest, 'hasInstallScript');
  return { ...Object.fromEntries(kept), ...(added ? { hasInstallScript: true } : {}) };
}

test('the full form says what the upstream says, with our tarball URLs', () => {
  fc.assert(
    fc.property(anyPackument, ({ name, source, taken }) => {
      assert.deepEqual(parse(form('full', taken, base)), expectedFull(name, source));
    }),
    { numRuns: 150 },
  );
});

test('the abbreviated form is a choice of the full one', () => {
  fc.assert(
    fc.property(anyPackument, ({ name, source, taken }) => {
      const expected = expectedAbbreviated(expectedFull(name, source));
      assert.deepEqual(parse(form('abbreviated', taken, base)), expected);
    }),
    { numRuns: 150 },
  );
});

test('a door changes the tarball URLs and nothing else', () => {
  fc.assert(
    fc.property(anyPackument, fc.constantFrom<FormKind>('full', 'abbreviated'), ({ taken }, kind) => {
      const versions = [...taken.source.entries].length;
      const [hashed, served] = [form(kind, taken, ''), form(kind, taken, base)];
      assert.equal(served.length, hashed.length + versions * base.length);
    }),
  );
});

test('a packument that was assembled assembles to itself', () => {
  fc.assert(
    fc.property(anyPackument, ({ name, taken }) => {
      const once = form('full', taken, base);
      const again = take(once, name);
      assert.deepEqual(text(form('full', again, base)), text(once));
      assert.deepEqual(text(form('abbreviated', again, base)), text(form('abbreviated', taken, base)));
    }),
    { numRuns: 100 },
  );
});

test('parts name blobs instead of holding them', () => {
  const taken = take(Buffer.from('{"name":"p"}'), 'p');
  assert.deepEqual(
    [...formParts('full', taken.source, base)].every((part) => 'bytes' in part),
    true,
  );
  assert.equal(text(form('full', taken, base)), '{"name":"p","dist-tags":{},"versions":{}}');
  const entry = { ...documentEntry('1.0.0'), file: 'p-1.tgz' };
  const parts = [...formParts('full', { ...taken.source, entries: [entry] }, base)];
  const insert = utf8('https://door.example/p/-/p-1.tgz');
  assert.deepEqual(parts[2], { blob: entry.manifest, cut: entry.cut, insert });
});

test('one version is its manifest with our URL', () => {
  const { manifest, cut } = documentEntry('1.0.0');
  const bytes = manifestForm(
    documentTaken.blobs.get(manifest) ?? utf8(''),
    cut,
    base,
    '@scope/hello',
    'hello-1.0.0.tgz',
  );
  const upstream = parse(utf8(block('json upstream'))).versions['1.0.0'];
  upstream.dist.tarball = 'https://door.example/@scope/hello/-/hello-1.0.0.tgz';
  assert.deepEqual(parse(bytes), upstream);
});

test('the top blob has the times first: of the package, of versions in order, then others', () => {
  const time = new Map(Object.entries({ gone: 'g', modified: 'm', b: '\n"', created: 'c', 9: 'n' }));
  const rest = [{ key: 'x', bytes: utf8('"x":1') }];
  const top = buildTop(time, rest, ['b', '9', 'absent']);
  assert.equal(text(top), '"time":{"created":"c","modified":"m","b":"\\n\\"","9":"n","gone":"g"},"x":1');
  assert.deepEqual(topTime(top), time);
  assert.deepEqual([...(topTime(top) ?? []).keys()], ['created', 'modified', 'b', '9', 'gone']);
  assert.equal(text(buildTop(null, rest)), '"x":1');
  assert.equal(topTime(buildTop(null, rest)), null);
  assert.equal(topTime(buildTop(null, [])), null);
  assert.equal(text(buildTop(new Map(), [])), '"time":{}');
});

test('an upstream that says modified at the top level keeps it in the full form only', () => {
  const taken = take(Buffer.from('{"name":"p","modified":"m"}'), 'p');
  assert.equal(parse(form('full', taken, '')).modified, 'm');
  assert.equal(parse(form('abbreviated', taken, '')).modified, undefined);
});

const assemblyText = readFileSync(new URL('../../docs/assembly.md', import.meta.url), 'utf8');
const blocks = new Map(
  [...assemblyText.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, label, body]) => [label, body]),
);

function block(label: string): string {
  const body = blocks.get(label);
  assert.ok(body !== undefined, `docs/assembly.md has no block ${label}`);
  return body;
}

const documentTaken: Taken = take(utf8(block('json upstream')), '@scope/hello');

function documentEntry(version: string) {
  const entry = [...documentTaken.source.entries].find((candidate) => candidate.version === version);
  assert.ok(entry);
  return entry;
}

test('docs/assembly.md shows the blobs and entries of its packument', () => {
  const { source, blobs } = documentTaken;
  assert.equal(`${text(source.tags)}\n`, block('json tags'));
  assert.equal(`${text(source.top)}\n`, block('json top'));
  assert.equal([...source.entries].map(formatVersionEntry).join(''), block('page'));
  const shown = ['m1', 'a1', 'm2', 'a2'].map((label) => block(`json ${label}`).slice(0, -1));
  assert.deepEqual([...blobs.values()].map(text), shown);
});

test('docs/assembly.md shows both forms with their sizes and hashes', () => {
  for (const kind of ['full', 'abbreviated'] as const) {
    const bytes = form(kind, documentTaken, '');
    assert.equal(`${text(bytes)}\n`, block(`json ${kind}`));
    assert.ok(assemblyText.includes(`${bytes.length} bytes and the SHA-256 \`${sha256Hex(bytes)}\``));
  }
});

test('docs/assembly.md lists the abbreviated members', () => {
  const table = assemblyText.match(/\| what for \| members \|\n[\s\S]*?\n\n/)?.[0] ?? '';
  const listed = [...table.matchAll(/`(\w+)`/g)].map(([, key]) => key);
  assert.deepEqual(listed.toSorted(), [...ABBREVIATED_MEMBERS].toSorted());
});

test('the forms in docs/protocol.md follow from its head', () => {
  const head = parseHead(utf8(protocolExample('head').text));
  const entries = openPages(head, [utf8(protocolExample('page').text)]);
  const blobs = new Map(['m1', 'a1', 'm2', 'a2'].map(protocolBlob).map((blob) => [sha256Hex(blob), blob]));
  const source = { name: head.name, tags: protocolBlob('tags'), top: protocolBlob('top'), entries };
  for (const kind of ['full', 'abbreviated'] as const) {
    const bytes = form(kind, { source, blobs, urls: [] }, '');
    assert.equal(text(bytes), text(protocolBlob(kind)));
    assert.deepEqual(head[kind], { size: bytes.length, sha256: sha256Hex(bytes) });
  }
});
