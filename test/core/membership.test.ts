import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { text, utf8 } from '../../src/core/bytes.ts';
import { FederationError, MalformedError, TooLargeError, UnauthorizedError } from '../../src/core/errors.ts';
import { hostKeyName } from '../../src/core/host-keys.ts';
import {
  type Application,
  checkIdentity,
  formatApplication,
  formatApplyAnswer,
  formatHeartbeat,
  formatIdentity,
  parseApplication,
  parseApplyAnswer,
  parseHeartbeat,
} from '../../src/core/membership.ts';
import { formatVkey, hostIdOf } from '../../src/core/note.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const raw = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
const host = hostIdOf(raw);
const key = formatVkey(hostKeyName(host), raw);
const application: Application = {
  url: 'https://mirror.example',
  key,
  exchange: Buffer.alloc(32, 1).toString('base64'),
  private: false,
  operator: 'Ünïcode & Co',
  software: null,
};
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));

describe('applications', () => {
  it('reads what it wrote, and passes over what it does not know', () => {
    assert.deepEqual(parseApplication(formatApplication(application)), application);
    assert.deepEqual(parseApplication(json({ ...application, later: 1 })), application);
  });

  const wrong: [string, object][] = [
    ['no URL', { url: undefined }],
    ['an endless URL', { url: `https://${'a'.repeat(400)}.example` }],
    ['a key of another name', { key: formatVkey('host/0000000000000000', raw) }],
    ['a key that is none', { key: 'x' }],
    ['a short exchange key', { exchange: 'AAAA' }],
    ['no word on privacy', { private: undefined }],
    ['an operator of several lines', { operator: 'a\nb' }],
    ['an operator that turns text around', { operator: 'a\u202eb' }],
    ['an endless operator', { operator: 'a'.repeat(201) }],
    ['software that is no text', { software: {} }],
  ];
  for (const [what, change] of wrong) {
    it(`refuses ${what}`, () =>
      assert.throws(() => parseApplication(json({ ...application, ...change })), MalformedError));
  }

  it('refuses what is too large, and throws nothing but named errors', () => {
    assert.throws(() => parseApplication(new Uint8Array(70_000)), TooLargeError);
    fc.assert(
      fc.property(fc.oneof(fc.json().map(utf8), fc.uint8Array()), (bytes) => {
        for (const parse of [parseApplication, parseHeartbeat, parseApplyAnswer]) {
          try {
            parse(bytes);
          } catch (error) {
            assert.ok(error instanceof FederationError, String(error));
          }
        }
      }),
    );
  });
});

describe('heartbeats and answers', () => {
  it('reads what it wrote', () => {
    const heartbeat = { url: 'https://mirror.example', stored: { blobs: 3, bytes: 12_000 }, failures: 0 };
    assert.deepEqual(parseHeartbeat(formatHeartbeat(heartbeat)), heartbeat);
    const answer = { host, status: 'pending', heartbeatSeconds: 15 } as const;
    assert.deepEqual(parseApplyAnswer(formatApplyAnswer(answer)), answer);
  });

  it('carries what a host cosigned', () => {
    const cosigned = { cosigner: 'mirror/0011223344556677+00000000+AAAA', checkpoint: 'log\n0\n…\n\n— log AAAA\n' };
    const heartbeat = { url: 'https://mirror.example', stored: { blobs: 0, bytes: 0 }, failures: 0, cosigned };
    assert.deepEqual(parseHeartbeat(formatHeartbeat(heartbeat)), heartbeat);
    assert.equal('cosigned' in parseHeartbeat(json({ ...heartbeat, cosigned: null })), false);
    for (const wrong of ['text', { cosigner: 'x' }, { ...cosigned, checkpoint: 'x'.repeat(5_000) }, [1]]) {
      assert.throws(() => parseHeartbeat(json({ ...heartbeat, cosigned: wrong })), MalformedError);
    }
  });

  it('refuses counts that are none', () => {
    for (const blobs of [-1, 1.5, '3', null, 2 ** 60]) {
      const heartbeat = { url: 'https://mirror.example', stored: { blobs, bytes: 0 }, failures: 0 };
      assert.throws(() => parseHeartbeat(json(heartbeat)), MalformedError);
    }
  });

  it('refuses a standing that it does not know, and an interval that would flood the origin', () => {
    assert.throws(() => parseApplyAnswer(json({ host, status: 'boss', heartbeatSeconds: 15 })), MalformedError);
    assert.throws(() => parseApplyAnswer(json({ host, status: 'approved', heartbeatSeconds: 0 })), MalformedError);
  });
});

describe('the proof of a URL', () => {
  const said = {
    host,
    url: application.url,
    key,
    nonce: 'AAAAAAAAAAAAAAAAAAAA',
    logName: 'open-registry/0011223344556677',
  };
  const signer = (message: Uint8Array): Uint8Array => new Uint8Array(sign(null, message, privateKey));
  const answer = formatIdentity(said, signer);

  it('is the signature of a stated text', () => {
    const messages: string[] = [];
    formatIdentity(said, (message) => {
      messages.push(text(message));
      return new Uint8Array(64);
    });
    assert.deepEqual(messages, [
      'open-registry identity/1\nAAAAAAAAAAAAAAAAAAAA\nhttps://mirror.example\nopen-registry/0011223344556677\n',
    ]);
  });

  it('holds for one nonce, URL, key and log', () => {
    checkIdentity(answer, said);
    for (const change of [
      { nonce: 'B'.repeat(20) },
      { url: 'https://other.example' },
      { logName: 'open-registry/0' },
    ]) {
      assert.throws(() => checkIdentity(answer, { ...said, ...change }), UnauthorizedError);
    }
    const other = new Uint8Array(32).fill(5);
    const otherKey = formatVkey(hostKeyName(hostIdOf(other)), other);
    assert.throws(() => checkIdentity(answer, { ...said, key: otherKey }), UnauthorizedError);
  });
});
