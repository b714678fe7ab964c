import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError, TooLargeError } from '../../src/core/errors.ts';
import { PACKUMENT_BYTES_MAX } from '../../src/core/limits.ts';
import { splitPackument } from '../../src/core/packument-split.ts';
import { split } from '../support/assembled.ts';
import { packageNames, packumentText } from '../support/packument-text.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const splitText = (source: string, name = 'p') => split(Buffer.from(source), name);

const cutAway = new Set(['name', 'dist-tags', 'versions', 'time', '_rev', '_attachments']);

test('cuts any packument into the members that JSON.parse sees', () => {
  const named = fc.constantFrom(...packageNames).chain((name) => fc.tuple(fc.constant(name), packumentText(name)));
  fc.assert(
    fc.property(named, ([name, source]) => {
      const found = splitText(source, name);
      const parsed = JSON.parse(source);
      const members = (entries: [string, Uint8Array][]) =>
        entries.map(([key, bytes]) => [key, JSON.parse(text(bytes))]);
      assert.deepEqual({ ...found.distTags }, parsed['dist-tags']);
      assert.deepEqual(JSON.parse(text(found.distTagsBytes)), parsed['dist-tags']);
      const versions = Object.fromEntries(members(found.versions.map(({ version, bytes }) => [version, bytes])));
      assert.deepEqual(versions, parsed.versions);
      const times = Object.entries(parsed.time ?? {}).filter(([, value]) => typeof value === 'string');
      assert.deepEqual(Object.fromEntries(found.time ?? []), Object.fromEntries(times));
      assert.equal(found.time === null, !Object.hasOwn(parsed, 'time'));
      const rest = `{${found.rest.map(({ bytes }) => text(bytes)).join(',')}}`;
      const others = Object.entries(parsed).filter(([key]) => !cutAway.has(key));
      assert.deepEqual(JSON.parse(rest), Object.fromEntries(others));
    }),
    { numRuns: 150 },
  );
});

test('keeps the order of the document, where an object would reorder its keys', () => {
  const versions = ['10', '2', 'b', '1'].map((version) => `"${version}":{}`).join(',');
  const found = splitText(`{"name":"p","versions":{${versions}},"time":{"10":"x","2":"y"},"9":1,"1":2}`);
  assert.deepEqual(
    found.versions.map(({ version }) => version),
    ['10', '2', 'b', '1'],
  );
  assert.deepEqual(
    [...(found.time ?? [])],
    [
      ['10', 'x'],
      ['2', 'y'],
    ],
  );
  assert.deepEqual(
    found.rest.map(({ bytes }) => text(bytes)),
    ['"9":1', '"1":2'],
  );
});

test('gives out slices of the bytes that came in', () => {
  const source = Buffer.from('{"name":"p","versions":{"1.0.0":{ "a" : [ 1.10 ] }},"x":"\\/"}');
  const found = split(source, 'p');
  assert.equal(text(found.versions[0]?.bytes ?? Buffer.alloc(0)), '{ "a" : [ 1.10 ] }');
  assert.equal(found.versions[0]?.bytes.buffer, source.buffer);
  assert.equal(text(found.rest[0]?.bytes ?? Buffer.alloc(0)), '"x":"\\/"');
});

test('removes white space around the colon of other members and nowhere else', () => {
  const found = splitText('{"name":"p", "a" \n:\t { "b" : 1 } }');
  assert.deepEqual(
    found.rest.map(({ bytes }) => text(bytes)),
    ['"a":{ "b" : 1 }'],
  );
});

test('reads a package that was unpublished', () => {
  const found = splitText('{"_id":"p","name":"p","time":{"created":"c","modified":"m","unpublished":{"time":"t"}}}');
  assert.equal(found.unpublished, true);
  assert.deepEqual(
    [...(found.time ?? [])],
    [
      ['created', 'c'],
      ['modified', 'm'],
    ],
  );
  assert.deepEqual([found.versions, { ...found.distTags }, text(found.distTagsBytes)], [[], {}, '{}']);
  assert.equal(splitText('{"name":"p","time":{"1.0.0":"t"}}').unpublished, false);
});

test('lets tags have any name', () => {
  const { distTags } = splitText('{"name":"p","dist-tags":{"__proto__":"1.0.0","latest":"2.0.0","odd":null}}');
  assert.deepEqual(Object.entries(distTags), [
    ['__proto__', '1.0.0'],
    ['latest', '2.0.0'],
  ]);
  assert.equal(distTags.constructor, undefined);
  assert.equal(({} as Record<string, unknown>).latest, undefined);
});

test('is not spoilt by a version that takeManifest refuses', () => {
  const deep = `${'['.repeat(500)}${']'.repeat(500)}`;
  const found = splitText(`{"name":"p","versions":{"1":${deep},"2":null,"3":{"a":1,"a":2},"4":"x"}}`);
  assert.equal(found.versions.length, 4);
});

const broken: [reason: RegExp, source: string][] = [
  [/expected an object/, '[]'],
  [/ends too early/, ''],
  [/expected an object/, '"p"'],
  [/of no name, not of p/, '{}'],
  [/of no name, not of p/, '{"name":7}'],
  [/of q, not of p/, '{"name":"q"}'],
  [/there twice/, '{"name":"p","name":"p"}'],
  [/there twice/, '{"name":"p","versions":{"1.0.0":{},"1.0\\u002e0":{}}}'],
  [/there twice/, '{"name":"p","dist-tags":{"a":"1","a":"2"}}'],
  [/there twice/, '{"name":"p","time":{"a":"1","a":"2"}}'],
  [/expected an object/, '{"name":"p","versions":[]}'],
  [/expected an object/, '{"name":"p","dist-tags":null}'],
  [/expected an object/, '{"name":"p","time":"x"}'],
  [/ends too early/, '{"name":"p","versions":{"1.0.0":{}'],
  [/more text follows/, '{"name":"p"}{'],
  [/expected a comma/, '{"name":"p" "x":1}'],
  [/nested too deeply/, `{"name":"p","x":${'['.repeat(64)}${']'.repeat(64)}}`],
  [/nested too deeply/, `{"name":"p","versions":{"1":${'['.repeat(100_000)}`],
  [/expected an object, found byte 0xef/, '\ufeff{"name":"p"}'],
];

test('refuses a document whose own structure is broken', () => {
  for (const [reason, source] of broken) {
    const refused = (error: unknown) => error instanceof MalformedError && reason.test(error.message);
    assert.throws(() => splitText(source), refused, source.slice(0, 80));
  }
  assert.throws(
    () => split(Buffer.from([...Buffer.from('{"name":"p","x":"'), 0xff, 0x22, 0x7d]), 'p'),
    /not valid UTF-8/,
  );
  assert.throws(() => split(new Uint8Array(PACKUMENT_BYTES_MAX + 1), 'p'), TooLargeError);
});

test('takes a small step at a time', () => {
  const big = `"${'x'.repeat(3_000_000)}"`;
  const versions = Array.from({ length: 500 }, (_, index) => `"${index}.0.0":{"a":"${'y'.repeat(1_000)}"}`);
  const source = Buffer.from(`{"name":"p","readme":${big},"versions":{"0.0.1":{"a":${big}},${versions.join(',')}}}`);
  const steps = [...splitPackument(source, 'p')].length;
  // Twice over all bytes in steps of 256 KiB (once for UTF-8), and one step per member.
  assert.ok(steps > 2 * (source.length / 262_144) + 500 - 6, `${steps} steps`);
});
