import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { text, utf8 } from '../../src/core/bytes.ts';
import { sha512Hex } from '../../src/core/hash.ts';
import { formatHostsList, openHostsList } from '../../src/core/hosts-list.ts';
import { readSignature, signatureBase, signRequest, verifyRequest } from '../../src/core/http-signature.ts';
import { formatMeasured, parseMeasured } from '../../src/core/measured.ts';
import {
  checkIdentity,
  formatApplication,
  formatApplyAnswer,
  formatHeartbeat,
  formatIdentity,
  parseApplication,
  parseApplyAnswer,
  parseHeartbeat,
} from '../../src/core/membership.ts';
import { formatVkey, hostIdOf, signNote } from '../../src/core/note.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { protocolExample } from '../support/protocol-examples.ts';

const document = readFileSync(new URL('../../docs/federation-notes.md', import.meta.url), 'utf8');

function example(kind: string): { label: string; text: string } {
  const [, label = '', content = ''] =
    new RegExp(`^\`\`\`${kind}(?: (.*))?\n([^]*?)^\`\`\`\n`, 'm').exec(document) ?? [];
  assert.ok(content, `the document has no example ${kind}`);
  return { label, text: content };
}

const logName = 'open-registry/0123456789abcdef';
const hostsKey = exampleSigner(`${logName}/hosts`, 'example hosts key');
const anonymous = exampleSigner('host', 'example identity key');
const host = hostIdOf(anonymous.publicKey);
const key = formatVkey(`host/${host}`, anonymous.publicKey);
const sign = (message: Uint8Array): Uint8Array => anonymous.sign(message) as Uint8Array;
const nonce = 'AAECAwQFBgcICQoLDA0ODxAR';
const created = 1_767_225_600;

describe('the examples of the document', () => {
  it('shows a list of hosts as it is signed', async () => {
    const note = example('hosts-list').text;
    const list = openHostsList(note, formatVkey(hostsKey.name, hostsKey.publicKey), logName);
    assert.equal(await signNote(formatHostsList(list), [hostsKey]), note);
  });

  it('shows what is said of a measured tarball, the one in the example of protocol.md', () => {
    const shown = example('measured').text;
    const measured = parseMeasured(utf8(shown), sha512Hex(Uint8Array.from({ length: 150_000 }, (_, at) => at % 251)));
    assert.equal(text(formatMeasured(measured)), shown);
    const [list, root] = protocolExample('chunk-list').hashes;
    assert.deepEqual([measured.list, measured.chunks], [list, root]);
  });

  it('shows a signed request, and the text under its signature', () => {
    const { label, text: shown } = example('signed-request');
    const [method = '', path = ''] = label.split(' ');
    const [head = '', body = ''] = shown.split('\n\n');
    const bytes = utf8(body);
    const headers = signRequest({ method, path, body: bytes, logName, keyId: host, created, nonce }, sign);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    assert.deepEqual(head.split('\n'), lines);
    assert.equal(text(formatHeartbeat(parseHeartbeat(bytes))), body);

    const signature = readSignature(headers);
    assert.ok(signature);
    const request = { method, url: path, headers, body: bytes };
    verifyRequest(request, signature, { publicKey: anonymous.publicKey, logName, now: created * 1000 });
    const covered = signature.components.map((name): [string, string] => {
      return [name, name === '@method' ? method : name === '@path' ? path : (headers[name] ?? '')];
    });
    assert.equal(`${signatureBase(covered, signature.params)}\n`, example('signature-base').text);
  });

  it('shows an application, its answer and a proof', () => {
    const application = example('application').text;
    assert.equal(text(formatApplication(parseApplication(utf8(application)))), application);
    const answer = example('apply-answer').text;
    assert.equal(text(formatApplyAnswer(parseApplyAnswer(utf8(answer)))), answer);
    const { label, text: identity } = example('identity');
    const said = { host, url: 'https://mirror.example', key, nonce: label, logName };
    checkIdentity(utf8(identity), said);
    assert.equal(text(formatIdentity(said, sign)), identity);
  });
});
