import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MalformedError } from '../../src/core/errors.ts';
import { checkMirrorKey, hostKeyName, mirrorKeyName, parseHostKey, witnessKeyName } from '../../src/core/host-keys.ts';
import { COSIGNATURE_TYPE, ED25519_TYPE, formatVkey, hostIdOf } from '../../src/core/note.ts';

const raw = new Uint8Array(32).fill(7);
const host = hostIdOf(raw);

describe('parseHostKey', () => {
  it('takes the id from the key, whatever the name claims', () => {
    assert.equal(parseHostKey(formatVkey(hostKeyName(host), raw)).hostId, host);
    assert.throws(() => parseHostKey(formatVkey('host/ffffffffffffffff', raw)), MalformedError);
  });
});

describe('checkMirrorKey', () => {
  it('names cosigners after their hosts', () => {
    checkMirrorKey(formatVkey(mirrorKeyName(host), raw, COSIGNATURE_TYPE), host);
    for (const [name, type] of [
      [mirrorKeyName('ffffffffffffffff'), COSIGNATURE_TYPE],
      [witnessKeyName(host), COSIGNATURE_TYPE],
      [mirrorKeyName(host), ED25519_TYPE],
    ] as const) {
      assert.throws(() => checkMirrorKey(formatVkey(name, raw, type), host), MalformedError);
    }
  });
});
