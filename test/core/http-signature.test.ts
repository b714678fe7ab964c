import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fromBase64, toBase64, utf8 } from '../../src/core/bytes.ts';
import { verifyEd25519 } from '../../src/core/ed25519.ts';
import { UnauthorizedError } from '../../src/core/errors.ts';
import {
  contentDigest,
  NonceMemory,
  type ReceivedRequest,
  type RequestSignature,
  readSignature,
  signatureBase,
  signRequest,
  type UnsignedRequest,
  verifyRequest,
} from '../../src/core/http-signature.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signer = (message: Uint8Array): Uint8Array => sign(null, message, privateKey);
const rawKey = (spki: Uint8Array): Uint8Array => spki.subarray(-32);
const ours = rawKey(publicKey.export({ type: 'spki', format: 'der' }));
const NOW_SECONDS = 1_700_000_000;

const unsigned: UnsignedRequest = {
  method: 'POST',
  path: '/-/federation/hosts/heartbeat',
  body: utf8('{"url":"https://mirror.example"}'),
  logName: 'open-registry/0011223344556677',
  keyId: '0123456789abcdef',
  created: NOW_SECONDS,
  nonce: 'AAAAAAAAAAAAAAAAAAAAAA',
};

function receive(request: UnsignedRequest, change: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const headers = signRequest(request, signer);
  return { method: request.method, url: request.path, body: request.body, headers, ...change };
}

function check(request: ReceivedRequest, change: Partial<Parameters<typeof verifyRequest>[2]> = {}): RequestSignature {
  const signature = readSignature(request.headers);
  assert.ok(signature);
  const expected = { publicKey: ours, logName: unsigned.logName, now: NOW_SECONDS * 1000, ...change };
  verifyRequest(request, signature, expected);
  return signature;
}

describe('the vector of RFC 9421 appendix B.2.6', () => {
  const vector = JSON.parse(readFileSync(new URL('../vectors/rfc9421-b26.json', import.meta.url), 'utf8'));
  const base = utf8(signatureBase(vector.components, vector.params));

  it('verifies over our signature base', () => {
    assert.ok(verifyEd25519(rawKey(fromBase64(vector.publicKeySpki)), base, fromBase64(vector.signature)));
  });

  it('is what the private key signs, since Ed25519 is deterministic', () => {
    const key = createPrivateKey({ key: Buffer.from(vector.privateKeyPkcs8, 'base64'), format: 'der', type: 'pkcs8' });
    assert.equal(toBase64(sign(null, base, key)), vector.signature);
    assert.equal(toBase64(createPublicKey(key).export({ type: 'spki', format: 'der' })), vector.publicKeySpki);
  });
});

describe('signRequest and verifyRequest', () => {
  it('accepts what it signed, with and without a body', () => {
    assert.equal(check(receive(unsigned)).keyId, unsigned.keyId);
    const get: UnsignedRequest = { ...unsigned, method: 'GET', path: '/-/federation/changes', body: null };
    assert.deepEqual(check(receive(get)).components, ['@method', '@path', 'open-registry-log']);
  });

  it('writes exactly these headers', () => {
    const headers = signRequest(unsigned, () => new Uint8Array(64));
    assert.deepEqual(headers, {
      'open-registry-log': 'open-registry/0011223344556677',
      'content-digest': contentDigest(unsigned.body as Uint8Array),
      'signature-input':
        'sig1=("@method" "@path" "content-digest" "open-registry-log");created=1700000000' +
        ';nonce="AAAAAAAAAAAAAAAAAAAAAA";keyid="0123456789abcdef";alg="ed25519";tag="open-registry"',
      signature: `sig1=:${'A'.repeat(86)}==:`,
    });
  });

  const refusals: [string, ReceivedRequest, RegExp][] = [
    ['another method', receive(unsigned, { method: 'PUT' }), /wrong/],
    ['another path', receive(unsigned, { url: '/-/federation/hosts/apply' }), /wrong/],
    ['a query', receive(unsigned, { url: `${unsigned.path}?a=1` }), /no query/],
    ['another body', receive(unsigned, { body: utf8('{}') }), /Content-Digest/],
    ['a dropped body', receive(unsigned, { body: null }), /cover exactly/],
    ['a body that is not covered', receive({ ...unsigned, body: null }, { body: utf8('{}') }), /cover exactly/],
    ['a signature that is too old', receive({ ...unsigned, created: NOW_SECONDS - 301 }), /clock/],
    ['a signature from the future', receive({ ...unsigned, created: NOW_SECONDS + 301 }), /clock/],
    ['another log', receive({ ...unsigned, logName: 'open-registry/ffffffffffffffff' }), /another log/],
  ];
  for (const [what, request, reason] of refusals) {
    it(`refuses ${what}`, () => assert.throws(() => check(request), reason));
  }

  it('refuses a parameter that was changed', () => {
    const request = receive(unsigned);
    const input = String(request.headers['signature-input']).replace('created=1700000000', 'created=1700000001');
    assert.throws(() => check({ ...request, headers: { ...request.headers, 'signature-input': input } }), /wrong/);
  });

  it('refuses another key', () => {
    const other = rawKey(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }));
    assert.throws(() => check(receive(unsigned), { publicKey: other }), /wrong/);
  });

  it('refuses any flipped bit of the signature', () => {
    const request = receive(unsigned);
    const signature = fromBase64(String(request.headers.signature).slice(6, -1));
    fc.assert(
      fc.property(fc.nat(64 * 8 - 1), (bit) => {
        const changed = signature.slice();
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        const headers = { ...request.headers, signature: `sig1=:${toBase64(changed)}:` };
        assert.throws(() => check({ ...request, headers }), UnauthorizedError);
      }),
    );
  });
});

describe('readSignature', () => {
  const { 'signature-input': input = '', signature = '' } = signRequest(unsigned, signer);

  it('answers null for an unsigned request', () => assert.equal(readSignature({ host: 'x' }), null));

  const malformed: [string, Record<string, string | string[]>][] = [
    ['only the input', { 'signature-input': input }],
    ['only the signature', { signature }],
    ['a header twice', { 'signature-input': [input, input], signature }],
    ['another label', { 'signature-input': input.replace('sig1', 'sig2'), signature }],
    ['two members', { 'signature-input': `${input}, ${input.replace('sig1', 'sig2')}`, signature }],
    ['another algorithm', { 'signature-input': input.replace('"ed25519"', '"rsa-pss-sha512"'), signature }],
    ['another tag', { 'signature-input': input.replace('tag="open-registry"', 'tag="other"'), signature }],
    ['no nonce', { 'signature-input': input.replace(/;nonce="[^"]*"/, ''), signature }],
    ['a short nonce', { 'signature-input': input.replace(/nonce="[^"]*"/, 'nonce="abc"'), signature }],
    ['a number that is not canonical', { 'signature-input': input.replace('created=1', 'created=01'), signature }],
    ['an endless header', { 'signature-input': input + ' '.repeat(2000), signature }],
    ['a short signature', { 'signature-input': input, signature: 'sig1=:AAAA:' }],
    ['bits behind the end', { 'signature-input': input, signature: `sig1=:${'A'.repeat(85)}B==:` }],
  ];
  for (const [what, headers] of malformed) {
    it(`refuses ${what}`, () => assert.throws(() => readSignature(headers), UnauthorizedError));
  }

  it('never throws anything else', () => {
    const value = fc.option(fc.string(), { nil: undefined });
    fc.assert(
      fc.property(value, value, (one, two) => {
        try {
          readSignature({ 'signature-input': one, signature: two });
        } catch (error) {
          assert.ok(error instanceof UnauthorizedError);
        }
      }),
    );
  });
});

describe('NonceMemory', () => {
  const signed = (keyId: string, nonce: string): RequestSignature => ({
    keyId,
    nonce,
    created: NOW_SECONDS,
    components: [],
    params: '',
    signature: new Uint8Array(64),
  });

  it('takes each nonce of a key once', () => {
    const memory = new NonceMemory(NOW_SECONDS * 1000);
    memory.use(signed('a', 'one'), NOW_SECONDS * 1000);
    memory.use(signed('b', 'one'), NOW_SECONDS * 1000);
    assert.throws(() => memory.use(signed('a', 'one'), NOW_SECONDS * 1000), /used before/);
  });

  it('refuses what may have been used before it began, with two seconds for clocks that differ', () => {
    const startedAfter = (seconds: number) => new NonceMemory((NOW_SECONDS + seconds) * 1000);
    startedAfter(2).use(signed('a', 'one'), (NOW_SECONDS + 3) * 1000);
    assert.throws(
      () => startedAfter(3).use(signed('a', 'one'), (NOW_SECONDS + 3) * 1000),
      /before this server started/,
    );
  });

  it('refuses rather than forgets when full, and has room again once signatures expired', () => {
    const memory = new NonceMemory(NOW_SECONDS * 1000, { perKeyMax: 2, keysMax: 2 });
    for (const nonce of ['one', 'two']) memory.use(signed('a', nonce), NOW_SECONDS * 1000);
    assert.throws(() => memory.use(signed('a', 'three'), NOW_SECONDS * 1000), /slow down/);
    memory.use(signed('b', 'one'), NOW_SECONDS * 1000);
    assert.throws(() => memory.use(signed('c', 'one'), NOW_SECONDS * 1000), /slow down/);
    const later = (NOW_SECONDS + 301) * 1000;
    memory.use(signed('a', 'three'), later);
    memory.use(signed('c', 'one'), later);
  });
});
