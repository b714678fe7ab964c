import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decideAddCheckpoint, formatAddCheckpoint, parseAddCheckpoint } from '../../src/core/add-checkpoint.ts';
import { text, utf8 } from '../../src/core/bytes.ts';
import { parseCheckpoint } from '../../src/core/checkpoint.ts';
import { cosign, cosignatureMessage, openCosignatures } from '../../src/core/cosignature.ts';
import { openCosigned } from '../../src/core/cosigned.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { checkMirrorKey } from '../../src/core/host-keys.ts';
import { formatHeartbeat, parseHeartbeat } from '../../src/core/membership.ts';
import { leafHash, rootHash } from '../../src/core/merkle.ts';
import {
  addSignatureLines,
  COSIGNATURE_TYPE,
  formatVkey,
  hostIdOf,
  type Signer,
  splitNote,
} from '../../src/core/note.ts';
import { lacking } from '../../src/core/policy-check.ts';
import { parsePolicy } from '../../src/core/tlog-policy.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { protocolExample, protocolExamples, protocolText } from '../support/protocol-examples.ts';

const LOG_NAME = 'open-registry/0123456789abcdef';
const TIME = 1_767_225_600;
const host = hostIdOf(exampleSigner('host', 'example identity key').publicKey);
const origin = exampleSigner(`${LOG_NAME}/cosigner`, 'example cosigner key');
const mirror = exampleSigner(`mirror/${host}`, 'example mirror key');
const witness = exampleSigner(`witness/${host}`, 'example witness key');
const logKey = exampleSigner(LOG_NAME, 'example next log key');
const vkeyOf = (signer: Signer) => formatVkey(signer.name, signer.publicKey, COSIGNATURE_TYPE);
const note = protocolExample('checkpoint').text;
const checkpoint = splitNote(note).text;

describe('cosignatures in docs/protocol.md', () => {
  it('are over the text that is shown', () => {
    assert.equal(text(cosignatureMessage(TIME, checkpoint)), protocolExample('cosignature-message').text);
  });

  it('stand beneath the checkpoint that is shown', async () => {
    const lines = [await cosign(checkpoint, TIME, origin), await cosign(checkpoint, TIME + 3, mirror)];
    const shown = protocolExample('cosigned-checkpoint').text;
    assert.equal(addSignatureLines(note, lines), shown);
    const found = openCosignatures(shown, [origin, mirror].map(vkeyOf));
    assert.deepEqual(
      found.map(({ time }) => time),
      [TIME, TIME + 3],
    );
  });

  it('are told in the heartbeat that is shown', async () => {
    const shown = protocolExample('heartbeat').text;
    const heartbeat = parseHeartbeat(utf8(shown));
    assert.equal(text(formatHeartbeat(heartbeat)), shown);
    const { cosigner = '', checkpoint: told = '' } = heartbeat.cosigned ?? {};
    checkMirrorKey(cosigner, host);
    assert.equal(cosigner, vkeyOf(mirror));
    assert.equal(openCosigned(told, cosigner).time, TIME + 3);
    assert.equal(told, addSignatureLines(note, [await cosign(checkpoint, TIME + 3, mirror)]));
  });
});

describe('the witness in docs/protocol.md', () => {
  const body = utf8(protocolExample('add-checkpoint').text);

  it('is asked as is shown, and agrees', () => {
    const request = parseAddCheckpoint(body);
    assert.equal(formatAddCheckpoint(request), protocolExample('add-checkpoint').text);
    assert.equal(request.note, note);
    const leaves = protocolExamples('entry').map((entry) => leafHash(utf8(entry.text)));
    const before = { size: request.oldSize, root: rootHash(leaves.slice(0, request.oldSize)) };
    const vkeys = [formatVkey(LOG_NAME, logKey.publicKey)];
    const knows = (latest: typeof before) => decideAddCheckpoint(body, () => ({ vkeys, latest })).status;
    assert.equal(knows(before), 200);
    assert.equal(knows({ ...before, root: rootHash(leaves.slice(1, 1 + request.oldSize)) }), 422);
  });

  it('answers with the line that is shown', async () => {
    assert.equal(protocolExample('add-checkpoint-answer').text, await cosign(checkpoint, TIME + 5, witness));
  });

  it('names the log by its hash', () => {
    assert.equal(parseCheckpoint(checkpoint).origin, LOG_NAME);
    assert.ok(protocolText.includes(`witness/${sha256Hex(utf8(LOG_NAME))}/checkpoint`));
  });
});

describe('the policy in docs/protocol.md', () => {
  const policy = parsePolicy(protocolExample('policy').text);

  it('is about the log and the cosigners of the examples', () => {
    assert.deepEqual(
      policy.logs.map(({ vkey }) => vkey),
      [formatVkey(LOG_NAME, logKey.publicKey)],
    );
    assert.deepEqual(
      policy.witnesses.map(({ vkey }) => vkey),
      [witness, mirror, origin].map(vkeyOf),
    );
  });

  it('is satisfied by two of them', async () => {
    assert.equal(lacking(policy, protocolExample('cosigned-checkpoint').text), null);
    const one = addSignatureLines(note, [await cosign(checkpoint, TIME, origin)]);
    assert.match(lacking(policy, one) ?? '', /1 of 3 witnesses have cosigned, not a, b/);
  });
});
