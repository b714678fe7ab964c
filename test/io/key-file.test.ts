import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { text, utf8 } from '../../src/core/bytes.ts';
import { verifyEd25519 } from '../../src/core/ed25519.ts';
import { UsageError } from '../../src/core/errors.ts';
import { formatKeysNoteText, openKeysNote } from '../../src/core/keys-note.ts';
import { COSIGNATURE_TYPE, hostIdOf, parseVkey, type Signer, signNote } from '../../src/core/note.ts';
import { openCosignerKey, openHostKeys, openOriginKeys } from '../../src/io/key-file.ts';

async function readSigner(path: string): Promise<Pick<Signer, 'publicKey' | 'sign'>> {
  const privateKey = createPrivateKey(await readFile(path));
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    publicKey: Uint8Array.from(spki.subarray(-32)),
    sign: (message) => Uint8Array.from(sign(null, message, privateKey)),
  };
}

describe('key files', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keys-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const keyPath = (name: string) => join(dir, 'keys', name);

  describe('openOriginKeys', () => {
    it('makes the log name and every key once', async () => {
      const first = await openOriginKeys(dir);
      const second = await openOriginKeys(dir);
      assert.match(first.logName, /^open-registry\/[0-9a-f]{16}$/);
      assert.deepEqual(second.note, first.note);
      assert.deepEqual(second.markSecret, first.markSecret);
      assert.equal(second.log.vkey, first.log.vkey);
      assert.equal(second.rootVkey, first.rootVkey);
    });

    it('certifies the public keys by root key and log key', async () => {
      const keys = await openOriginKeys(dir);
      const certified = openKeysNote(keys.note, keys.rootVkey);
      assert.equal(certified.hosts, keys.hosts.vkey);
      assert.equal(certified.exchange, Buffer.from(keys.exchange.publicKey).toString('base64'));
    });

    it('gives out functions and public halves, never a private key', async () => {
      const keys = await openOriginKeys(dir);
      const message = utf8('message');
      assert.ok(verifyEd25519(keys.log.publicKey, message, keys.log.sign(message)));
      assert.deepEqual(Object.keys(keys.log).sort(), ['name', 'publicKey', 'sign', 'vkey']);
      assert.deepEqual(Object.keys(keys.exchange).sort(), ['exchangeSecret', 'publicKey']);
    });

    it('writes files that only their owner can read', async () => {
      await openOriginKeys(dir);
      for (const name of await readdir(join(dir, 'keys'))) {
        assert.equal((await stat(keyPath(name))).mode & 0o777, 0o600, name);
      }
    });

    it('certifies the cosigner afterwards, where it can', async () => {
      const first = await openOriginKeys(dir);
      const { cosigner, ...before } = openKeysNote(first.note, null);
      assert.equal(cosigner, first.cosigner.vkey);
      const root = { name: `${first.logName}/root`, ...(await readSigner(keyPath('root.key'))) };
      const earlier = await signNote(formatKeysNoteText(before), [root, first.log]);
      const rootKey = await readFile(keyPath('root.key'));
      await writeFile(keyPath('keys.note'), earlier);
      await rm(keyPath('cosigner.key'));
      await rm(keyPath('root.key'));
      const offline = await openOriginKeys(dir);
      assert.equal(text(offline.note), earlier);
      await writeFile(keyPath('root.key'), rootKey, { mode: 0o600 });
      assert.equal(openKeysNote((await openOriginKeys(dir)).note, first.rootVkey).cosigner, offline.cosigner.vkey);
      await rm(keyPath('root.key'));
      assert.equal(openKeysNote((await openOriginKeys(dir)).note, first.rootVkey).cosigner, offline.cosigner.vkey);
    });

    it('runs without the root key once it was certified', async () => {
      const first = await openOriginKeys(dir);
      assert.equal(first.rootKeyFile, keyPath('root.key'));
      await rm(keyPath('root.key'));
      const second = await openOriginKeys(dir);
      assert.equal(second.rootKeyFile, null);
      assert.equal(second.rootVkey, first.rootVkey);
    });

    it('goes on with the keys of a start that was killed before the certificate', async () => {
      const first = await openOriginKeys(dir);
      await rm(keyPath('keys.note'));
      const second = await openOriginKeys(dir, first.logName);
      assert.equal(second.log.vkey, first.log.vkey);
      assert.deepEqual(second.note, first.note);
    });

    for (const name of ['log.key', 'hosts.key', 'exchange.key', 'mark.secret']) {
      it(`refuses to replace a ${name} that went missing`, async () => {
        await openOriginKeys(dir);
        await rm(keyPath(name));
        await assert.rejects(openOriginKeys(dir), new RegExp(`${name} is missing`));
      });
    }

    it('refuses a key that is not the certified one', async () => {
      await openOriginKeys(dir);
      await writeFile(keyPath('log.key'), await readFile(keyPath('hosts.key')));
      await assert.rejects(openOriginKeys(dir), /not those that its keys.note certifies/);
    });

    it('refuses a file that others can read', async () => {
      await openOriginKeys(dir);
      await chmod(keyPath('log.key'), 0o640);
      await assert.rejects(openOriginKeys(dir), /chmod 600/);
    });

    it('says nothing of the content of a file that is no key', async () => {
      await openOriginKeys(dir);
      await writeFile(keyPath('log.key'), 'secret-looking text');
      await assert.rejects(openOriginKeys(dir), (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.doesNotMatch(`${error.message}${error.cause}`, /secret-looking/);
        return true;
      });
    });

    it('refuses a data directory of another log', async () => {
      await openOriginKeys(dir);
      await assert.rejects(openOriginKeys(dir, 'open-registry/0000000000000000'), /belong to the log/);
    });
  });

  describe('openHostKeys', () => {
    it('makes an identity once; the host id is derived from it', async () => {
      const first = await openHostKeys(dir);
      const second = await openHostKeys(dir);
      assert.equal(second.identity.vkey, first.identity.vkey);
      assert.equal(first.hostId, hostIdOf(first.identity.publicKey));
      assert.equal(parseVkey(first.identity.vkey).name, `host/${first.hostId}`);
    });

    it('agrees with an origin on one secret', async () => {
      const host = await openHostKeys(dir);
      const other = await mkdtemp(join(tmpdir(), 'keys-'));
      try {
        const origin = await openOriginKeys(other);
        const secret = host.exchange.exchangeSecret(origin.exchange.publicKey);
        assert.equal(secret.length, 32);
        assert.deepEqual(origin.exchange.exchangeSecret(host.exchange.publicKey), secret);
      } finally {
        await rm(other, { recursive: true });
      }
    });

    it('refuses a peer key that would make the secret known to everyone', async () => {
      const host = await openHostKeys(dir);
      assert.throws(() => host.exchange.exchangeSecret(new Uint8Array(32)));
    });
  });

  describe('openCosignerKey', () => {
    it('makes one key per file, of the type that signs nothing but cosignatures', async () => {
      const first = await openCosignerKey(dir, 'witness.key', 'witness/example');
      assert.equal(parseVkey(first.vkey, COSIGNATURE_TYPE).name, 'witness/example');
      assert.equal((await openCosignerKey(dir, 'witness.key', 'witness/example')).vkey, first.vkey);
      const other = await openCosignerKey(dir, 'cosigner.key', 'witness/example');
      assert.notDeepEqual(other.publicKey, first.publicKey);
      assert.equal((await stat(keyPath('witness.key'))).mode & 0o777, 0o600);
    });
  });
});
