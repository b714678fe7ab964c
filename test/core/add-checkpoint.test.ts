import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decideAddCheckpoint,
  formatAddCheckpoint,
  parseAddCheckpoint,
  type WitnessedLog,
} from '../../src/core/add-checkpoint.ts';
import { toBase64, utf8 } from '../../src/core/bytes.ts';
import { formatCheckpoint } from '../../src/core/checkpoint.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { leafHash, proveConsistency, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { formatVkey, parseVkey, signNote } from '../../src/core/note.ts';
import { count, mutated } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { readerOf } from '../support/hash-reader.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/add-checkpoint.json', import.meta.url), 'utf8'));

test('the example of the specification is read, and written again', () => {
  const { oldSize, proof, note } = parseAddCheckpoint(utf8(vectors.spec));
  assert.equal(oldSize, 20_852_014);
  assert.deepEqual(proof.map(toBase64), vectors.spec.split('\n').slice(1, 5));
  assert.equal(note.split('\n')[1], '20852163');
  assert.equal(formatAddCheckpoint({ oldSize, proof, note }), vectors.spec);
});

test('a witness answers the requests of litewitness’s tests as that one does', () => {
  const { name } = parseVkey(vectors.vkey);
  let latest: TreeHead | null = null;
  for (const [at, { body, ...expected }] of vectors.steps.entries()) {
    const log: WitnessedLog = { vkeys: [vectors.vkey], latest };
    const decision = decideAddCheckpoint(utf8(body), (origin) => (origin === name ? log : null));
    const { status } = decision;
    assert.deepEqual(decision.status === 409 ? { status, size: decision.size } : { status }, expected, `step ${at}`);
    if (decision.status === 200) latest = decision.checkpoint;
  }
});

const log = exampleSigner('example.com/log', 'log');
const vkey = formatVkey(log.name, log.publicKey);
const leaves = Array.from({ length: 20 }, (_, at) => leafHash(utf8(`entry ${at}`)));
const headAt = (size: number): TreeHead => ({ size, root: rootHash(leaves.slice(0, size)) });
const sign = (head: TreeHead, signer = log) =>
  signNote(formatCheckpoint({ origin: log.name, extensions: [], ...head }), [signer]);

/** A request that takes a witness from one size to another. */
async function request(oldSize: number, size: number, changes: { head?: TreeHead; proof?: Uint8Array[] } = {}) {
  const proof = changes.proof ?? (await proveConsistency(oldSize, size, readerOf(leaves)));
  return utf8(formatAddCheckpoint({ oldSize, proof, note: await sign(changes.head ?? headAt(size)) }));
}

function decide(body: Uint8Array, latest: TreeHead | null) {
  return decideAddCheckpoint(body, (origin) => (origin === log.name ? { vkeys: [vkey], latest } : null));
}

test('a log is taken from any size to any later one', async () => {
  for (let size = 0; size <= 20; size++) {
    for (let old = 0; old <= size; old++) {
      const decision = decide(await request(old, size), headAt(old));
      assert.ok(decision.status === 200, `${old} to ${size}: ${JSON.stringify(decision)}`);
      assert.deepEqual(decision.checkpoint, { origin: log.name, extensions: [], ...headAt(size) });
      assert.equal(decision.note, await sign(headAt(size)));
      assert.ok(decision.note.startsWith(`${decision.text}\n— `));
    }
  }
});

test('a log that was never cosigned is taken at any size', async () => {
  assert.equal(decide(await request(0, 7), null).status, 200);
  assert.equal(decide(await request(0, 0), null).status, 200);
});

test('an old size that is not the one cosigned last is told that one', async () => {
  const cases: [old: number, latest: TreeHead | null, size: number][] = [
    [3, headAt(5), 5],
    [0, headAt(5), 5],
    [6, headAt(5), 5],
    [3, null, 0],
  ];
  for (const [old, latest, size] of cases) {
    const decision = decide(await request(old, 9), latest);
    assert.deepEqual(decision, { status: 409, reason: `cosigned last was size ${size}, not ${old}`, size });
  }
});

test('a witness is not rolled back', async () => {
  assert.equal(decide(await request(4, 4), headAt(9)).status, 409);
  assert.equal(decide(await request(0, 4), headAt(9)).status, 409);
  const { note } = parseAddCheckpoint(await request(4, 4));
  const decision = decide(utf8(formatAddCheckpoint({ oldSize: 9, proof: [], note })), headAt(9));
  assert.deepEqual(decision, { status: 400, reason: 'the old size 9 is above that of the checkpoint, 4' });
});

test('what is not consistent with what was cosigned is refused', async () => {
  const proof = await proveConsistency(5, 9, readerOf(leaves));
  const forged = { size: 9, root: rootHash(leaves.slice(1, 10)) };
  const inconsistent: [why: string, body: Uint8Array, latest: TreeHead | null][] = [
    ['another root', await request(5, 9, { head: forged }), headAt(5)],
    ['another history', await request(5, 9), { ...headAt(5), root: headAt(6).root }],
    ['another root at the same size', await request(9, 9, { head: forged }), headAt(9)],
    ['no proof', await request(5, 9, { proof: [] }), headAt(5)],
    ['a proof too long', await request(5, 9, { proof: [...proof, ...proof] }), headAt(5)],
    ['a proof about nothing', await request(0, 9, { proof }), null],
    ['a proof that a tree is itself', await request(9, 9, { proof }), headAt(9)],
    ['an empty tree with the root of another', await request(0, 0, { head: { ...headAt(9), size: 0 } }), null],
  ];
  for (const [why, body, latest] of inconsistent) assert.equal(decide(body, latest).status, 422, why);
});

test('what the log did not sign is refused', async () => {
  const text = formatCheckpoint({ origin: log.name, extensions: [], ...headAt(5) });
  const by = (note: string) => decide(utf8(formatAddCheckpoint({ oldSize: 0, proof: [], note })), null);
  const forger = exampleSigner(log.name, 'forger');
  assert.equal(by(await signNote(text, [forger])).status, 403);
  const note = await sign(headAt(5));
  assert.equal(by(note.replace(/\n5\n/, '\n6\n')).status, 403);
  assert.equal(by(await signNote(text, [forger, log])).status, 200);
});

test('logs that the witness does not know are not found, whoever signed', async () => {
  const other = exampleSigner('example.com/other', 'other');
  const note = await signNote(formatCheckpoint({ origin: other.name, extensions: [], ...headAt(5) }), [log]);
  assert.equal(decide(utf8(formatAddCheckpoint({ oldSize: 0, proof: [], note })), null).status, 404);
});

const hash = toBase64(leaves[0] as Uint8Array);
const note = await sign(headAt(5));
const malformed: [why: string, body: string][] = [
  ['nothing', ''],
  ['no note', 'old 0\n\n'],
  ['no old size', `\n\n${note}`],
  ['another word', `new 0\n\n${note}`],
  ['an old size with a leading zero', `old 00\n\n${note}`],
  ['a negative old size', `old -1\n\n${note}`],
  ['two spaces', `old  0\n\n${note}`],
  ['no empty line', `old 0\n${note}`],
  ['a hash that is too short', `old 0\nAAAA\n\n${note}`],
  ['a hash that is no base64', `old 0\n${hash.slice(1)}!\n\n${note}`],
  ['64 hashes', `old 1\n${`${hash}\n`.repeat(64)}\n${note}`],
  ['another line behind', `old 0\n\n${note}more\n`],
  ['a text that is no checkpoint', `old 0\n\n${await signNote('hello\n', [log])}`],
  ['too many signatures', `old 0\n\n${note}${'— a AAAABBBB\n'.repeat(100)}`],
];
for (const [why, body] of malformed) {
  test(`a request with ${why} is malformed`, () => assert.equal(decide(utf8(body), null).status, 400));
}

test('a request that is too long is refused before it is read', () => {
  const long = new Uint8Array(128 * 1024 + 1);
  assert.throws(() => parseAddCheckpoint(long), /131073 bytes, at most 131072 are allowed/);
});

test('what is not UTF-8 is malformed', () => {
  assert.equal(decide(Uint8Array.from([...utf8('old 0\n\n'), 0xff]), null).status, 400);
});

test('63 hashes may be sent, and no more', () => {
  const proof = Array.from({ length: 63 }, () => leaves[0] as Uint8Array);
  assert.equal(parseAddCheckpoint(utf8(formatAddCheckpoint({ oldSize: 1, proof, note }))).proof.length, 63);
  assert.throws(() => formatAddCheckpoint({ oldSize: 1, proof: [...proof, ...proof], note }), /126 hashes, at most 63/);
});

test('requests come back as they were', () => {
  const hashes = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 });
  fc.assert(
    fc.property(count, hashes, (oldSize, proof) => {
      const body = formatAddCheckpoint({ oldSize, proof, note });
      const read = parseAddCheckpoint(utf8(body));
      assert.deepEqual([read.oldSize, read.note], [oldSize, note]);
      assert.equal(formatAddCheckpoint(read), body);
    }),
  );
});

test('a request with a changed byte is written as it was read, and never accepted but with the same note', async () => {
  const body = await request(5, 9);
  const accepted = decide(body, headAt(5));
  assert.ok(accepted.status === 200);
  fc.assert(
    fc.property(mutated(body), (bytes) => {
      const decision = decide(bytes, headAt(5));
      if (decision.status === 200) assert.equal(decision.text, accepted.text);
      try {
        assert.deepEqual(utf8(formatAddCheckpoint(parseAddCheckpoint(bytes))), bytes);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});

test('an error that is no refusal is not hidden as one', async () => {
  const body = await request(0, 5);
  assert.throws(
    () =>
      decideAddCheckpoint(body, () => {
        throw new TypeError('broken');
      }),
    TypeError,
  );
});
