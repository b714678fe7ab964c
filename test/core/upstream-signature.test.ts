import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { FederationError, MalformedError, TooLargeError } from '../../src/core/errors.ts';
import { parseUpstreamKeys, type UpstreamKey, verifyUpstreamSignature } from '../../src/core/upstream-signature.ts';

const KIND = 'ecdsa-sha2-nistp256';
const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const spki = (key: KeyObject): string => key.export({ type: 'spki', format: 'der' }).toString('base64');
const current = pair();
const old = pair();
const EXPIRES = Date.parse('2025-01-29T00:00:00.000Z');
const keys: UpstreamKey[] = [
  { keyid: 'SHA256:current', keytype: KIND, scheme: KIND, key: spki(current.publicKey), expires: null },
  { keyid: 'SHA256:old', keytype: KIND, scheme: KIND, key: spki(old.publicKey), expires: EXPIRES },
];
const version = {
  name: '@scope/pkg',
  version: '1.2.3',
  integrity: 'sha512-abc==',
  publishedAt: (EXPIRES - 1) as number | null,
};

function signed(
  keyid: string,
  key: KeyObject,
  message = '@scope/pkg@1.2.3:sha512-abc==',
): { keyid: string; sig: string } {
  return { keyid, sig: sign('sha256', utf8(message), key).toString('base64') };
}

function verdict(signatures: { keyid: string; sig: string }[], change: Partial<typeof version> = {}): string {
  const result = verifyUpstreamSignature({ ...version, ...change, keys, signatures });
  return result.ok ? result.keyid : result.reason;
}

describe('verifyUpstreamSignature', () => {
  const good = signed('SHA256:current', current.privateKey);
  const goodOld = signed('SHA256:old', old.privateKey);

  it('accepts a signature over name@version:integrity', () => assert.equal(verdict([good]), 'SHA256:current'));

  it('refuses it for another name, version or integrity', () => {
    assert.equal(verdict([good], { name: 'pkg' }), 'bad-signature');
    assert.equal(verdict([good], { version: '1.2.4' }), 'bad-signature');
    assert.equal(verdict([good], { integrity: 'sha512-abd==' }), 'bad-signature');
  });

  it('calls a version without signatures or without integrity unsigned', () => {
    assert.equal(verdict([]), 'unsigned');
    assert.equal(verifyUpstreamSignature({ ...version, integrity: null, keys, signatures: [good] }).ok === false, true);
  });

  it('knows no key but those given', () => {
    assert.equal(verdict([{ ...good, keyid: 'SHA256:other' }]), 'unknown-key');
    assert.equal(verdict([{ ...good, keyid: 'SHA256:other' }, good]), 'SHA256:current');
  });

  it('lets an expired key vouch for versions from before its end only', () => {
    assert.equal(verdict([goodOld]), 'SHA256:old');
    assert.equal(verdict([goodOld], { publishedAt: EXPIRES }), 'expired-key');
    assert.equal(verdict([goodOld], { publishedAt: null }), 'expired-key');
    assert.equal(verdict([goodOld, good], { publishedAt: EXPIRES }), 'SHA256:current');
  });

  it('lets one bad signature by a known key spoil a good one', () => {
    assert.equal(verdict([good, { ...goodOld, sig: good.sig }]), 'bad-signature');
  });

  it('looks at a bounded number of signatures', () => {
    assert.equal(verdict(new Array(17).fill(good)), 'bad-signature');
  });

  it('calls anything else in place of a signature a bad one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (sig) => {
        assert.equal(verdict([{ keyid: 'SHA256:current', sig }]), 'bad-signature');
      }),
    );
  });
});

describe('parseUpstreamKeys', () => {
  const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
  const entry = { ...keys[0], expires: null as unknown };

  it('reads keys with and without an end', () => {
    const document = { keys: [entry, { ...keys[1], expires: '2025-01-29T00:00:00.000Z' }] };
    assert.deepEqual(parseUpstreamKeys(json(document)), keys);
  });

  it('passes over keys of a kind that can not be checked', () => {
    assert.deepEqual(parseUpstreamKeys(json({ keys: [{ ...entry, keytype: 'ml-dsa', key: '?' }] })), []);
  });

  const ed25519 = spki(generateKeyPairSync('ed25519').publicKey);
  const malformed: [string, unknown][] = [
    ['no object', null],
    ['no list', { keys: {} }],
    ['a key that is null', { keys: [null] }],
    ['a keyid with a space', { keys: [{ ...entry, keyid: 'a b' }] }],
    ['a key on another curve', { keys: [{ ...entry, key: ed25519 }] }],
    ['a key that is not base64', { keys: [{ ...entry, key: '!!' }] }],
    ['the same keyid twice', { keys: [entry, entry] }],
    ['an expiry that is a number', { keys: [{ ...entry, expires: 5 }] }],
    ['an expiry in local time', { keys: [{ ...entry, expires: '2025-01-29T00:00:00' }] }],
    ['too many keys', { keys: new Array(33).fill(entry) }],
  ];
  for (const [what, document] of malformed) {
    it(`refuses ${what}`, () => assert.throws(() => parseUpstreamKeys(json(document)), MalformedError));
  }

  it('refuses an endless document', () => {
    assert.throws(() => parseUpstreamKeys(new Uint8Array(70_000)), TooLargeError);
  });

  it('throws nothing but named errors', () => {
    const value = fc.oneof(fc.json(), fc.string()).map(utf8);
    fc.assert(
      fc.property(fc.oneof(value, fc.uint8Array()), (bytes) => {
        try {
          parseUpstreamKeys(bytes);
        } catch (error) {
          assert.ok(error instanceof FederationError, String(error));
        }
      }),
    );
  });
});
