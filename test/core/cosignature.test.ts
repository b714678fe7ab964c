import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, text as textOf, toHex, utf8 } from '../../src/core/bytes.ts';
import { cosign, cosignatureMessage, openCosignatures } from '../../src/core/cosignature.ts';
import { MalformedError, SignatureError } from '../../src/core/errors.ts';
import {
  addSignatureLines,
  COSIGNATURE_TYPE,
  formatVkey,
  keyId,
  openNote,
  parseVkey,
  type Signer,
  signNote,
} from '../../src/core/note.ts';
import { mutated } from '../support/arbitrary.ts';
import { exampleSigner, signerFromSeed } from '../support/example-keys.ts';

const vector = JSON.parse(readFileSync(new URL('../vectors/cosignature.json', import.meta.url), 'utf8'));
const { text, time, line, vkey, name } = vector;
const cosigner = signerFromSeed(name, fromHex(vector.seed));

const log = exampleSigner('example.com/behind-the-sofa', 'log');
const logVkey = formatVkey(log.name, log.publicKey);
const note = await signNote(text, [log]);
const vkeyOf = (signer: Signer) => formatVkey(signer.name, signer.publicKey, COSIGNATURE_TYPE);

test('the key, the message and the line are those that were computed elsewhere', async () => {
  assert.equal(toHex(cosigner.publicKey), vector.publicKey);
  assert.equal(keyId(name, COSIGNATURE_TYPE, cosigner.publicKey), vector.keyId);
  assert.equal(vkeyOf(cosigner), vkey);
  assert.equal(textOf(cosignatureMessage(time, text)), vector.message);
  assert.equal(await cosign(text, time, cosigner), line);
});

test('a vkey of type 0x04 is read as that, and as nothing else', () => {
  const { publicKey, ...rest } = parseVkey(vkey, COSIGNATURE_TYPE);
  assert.deepEqual(rest, { name, type: 4, keyId: vector.keyId });
  assert.equal(toHex(publicKey), vector.publicKey);
  assert.throws(() => parseVkey(vkey), /is not of type Ed25519 \(0x01\)/);
  assert.throws(() => parseVkey(logVkey, COSIGNATURE_TYPE), /is not of type Ed25519 cosignature \(0x04\)/);
});

test('a cosigned checkpoint opens with either key, each in its place', () => {
  const cosigned = addSignatureLines(note, [line]);
  assert.equal(cosigned, `${note}${line}`);
  assert.deepEqual(openCosignatures(cosigned, [vkey]), [{ vkey, time, line }]);
  assert.deepEqual(openCosignatures(utf8(cosigned), [vkey]), [{ vkey, time, line }]);
  assert.deepEqual(openNote(cosigned, [logVkey]), { text, signedBy: [logVkey] });
  assert.deepEqual(openCosignatures(cosigned, [vkeyOf(exampleSigner('example.com/other', 'other'))]), []);
  assert.deepEqual(openCosignatures(note, [vkey]), []);
});

test('a cosignature is no signature, nor a signature a cosignature, even by one key', async () => {
  const cosigned = addSignatureLines(note, [line]);
  assert.throws(() => openNote(cosigned, [formatVkey(name, cosigner.publicKey)]), SignatureError);
  const signed = await signNote(text, [cosigner]);
  assert.deepEqual(openCosignatures(signed, [vkey]), []);
  assert.throws(() => openNote(cosigned, [vkey]), MalformedError);
});

test('the newest cosignature of each cosigner counts', async () => {
  const other = exampleSigner('witness.example/w2', 'w2');
  const lines = await Promise.all([
    cosign(text, 20, other),
    cosign(text, 10, cosigner),
    cosign(text, 30, cosigner),
    cosign(text, 25, cosigner),
  ]);
  const found = openCosignatures(`${note}${lines.join('')}`, [vkey, vkeyOf(other)]);
  assert.deepEqual(
    found.map((one) => [one.vkey, one.time, one.line]),
    [
      [vkeyOf(other), 20, lines[0]],
      [vkey, 30, lines[2]],
    ],
  );
});

test('a witness’s answer can be opened beneath the text', () => {
  assert.deepEqual(openCosignatures(`${text}\n${line}`, [vkey]), [{ vkey, time, line }]);
});

test('a changed byte spoils a cosigned checkpoint', () => {
  const cosigned = utf8(`${text}\n${line}`);
  fc.assert(
    fc.property(mutated(cosigned), (bytes) => {
      if (Buffer.from(bytes).equals(Buffer.from(cosigned))) return;
      try {
        assert.deepEqual(openCosignatures(bytes, [vkey]), []);
      } catch (error) {
        assert.ok(error instanceof MalformedError || error instanceof SignatureError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});

/** A line of the cosigner's key with these bytes as its signature. */
function lineOf(signature: Uint8Array): string {
  const bytes = Buffer.concat([fromHex(vector.keyId), signature]);
  return `— ${name} ${bytes.toString('base64')}\n`;
}

test('another time, a cut one and one beyond all clocks are refused', async () => {
  const good = Buffer.from(line.split(' ')[2], 'base64').subarray(4);
  assert.equal(lineOf(good), line);
  const far = Buffer.from(good);
  far.writeBigUInt64BE(2n ** 63n);
  const later = Buffer.from(good);
  later.writeBigUInt64BE(BigInt(time + 1));
  for (const bytes of [later, far, good.subarray(0, 7), good.subarray(0, 71), Buffer.concat([good, Buffer.of(0)])]) {
    const refusal = { name: 'SignatureError', message: /cosignature by witness.example\/w1 \(key e75f6532\) is wrong/ };
    assert.throws(() => openCosignatures(`${note}${lineOf(bytes)}`, [vkey]), refusal);
  }
});

test('a time beyond 2^53 is refused even if it was signed', async () => {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(2n ** 60n);
  const signature = await cosigner.sign(utf8(`cosignature/v1\ntime ${2n ** 60n}\n${text}`));
  assert.throws(() => openCosignatures(`${note}${lineOf(Buffer.concat([time, signature]))}`, [vkey]), SignatureError);
});

test('a cosignature of another checkpoint is refused', () => {
  const other = text.replace('20852163', '20852164');
  assert.throws(() => openCosignatures(`${other}\n${line}`, [vkey]), SignatureError);
});

test('nothing is cosigned but checkpoints, and not without a time', async () => {
  await assert.rejects(cosign('hello\n', time, cosigner), MalformedError);
  await assert.rejects(cosign(text.slice(0, -1), time, cosigner), MalformedError);
  for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 53])
    await assert.rejects(cosign(text, wrong, cosigner), RangeError);
  await assert.rejects(cosign(text, time, { ...cosigner, publicKey: log.publicKey }), SignatureError);
});

test('times come back as they were', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.maxSafeNat().filter((time) => time > 0),
      async (time) => {
        const line = await cosign(text, time, cosigner);
        assert.deepEqual(openCosignatures(`${note}${line}`, [vkey]), [{ vkey, time, line }]);
      },
    ),
    { numRuns: 50 },
  );
});
