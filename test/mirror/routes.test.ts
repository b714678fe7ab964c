import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sha512Hex } from '../../src/core/hash.ts';
import { openHostsList } from '../../src/core/hosts-list.ts';
import { checkIdentity } from '../../src/core/membership.ts';
import { blobPath } from '../../src/io/blob-path.ts';
import { openHostKeys } from '../../src/io/key-file.ts';
import { createHostSigner } from '../../src/mirror/membership/ask-origin.ts';
import { type HostsOrigin, startHostsOrigin } from '../support/hosts-origin.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { markedUrl, randomBlob, startMember, startTestMirror, type TestMirror } from '../support/test-mirror.ts';

const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());

/** A mirror that holds this blob; answers with the blob's unmarked URL. */
async function holding(origin: HostsOrigin, mirror: TestMirror, bytes: Uint8Array): Promise<string> {
  const marked = markedUrl(origin, mirror, origin.addTarball(bytes));
  await (await fetch(marked)).arrayBuffer();
  return marked.split('?', 1)[0] as string;
}

describe('blobs at a mirror', () => {
  for (const size of [1_000, 3_000_000, 5_000_000]) {
    it(`gives out ${size} bytes with a strong tag, a digest and for ever`, async (t) => {
      const origin = await startHostsOrigin(t);
      const bytes = randomBlob(size);
      const url = await holding(origin, await startMember(t, origin), bytes);
      const answer = await fetch(url);
      assert.equal(answer.headers.get('etag'), `"sha512-${sha512Hex(bytes)}"`);
      assert.equal(answer.headers.get('content-length'), `${size}`);
      assert.equal(answer.headers.get('cache-control'), 'public, max-age=31536000, immutable');
      assert.match(answer.headers.get('repr-digest') ?? '', /^sha-512=:.{88}:$/);
      assert.deepEqual(await bytesOf(answer), bytes);
    });

    it(`answers conditions, ranges and HEAD on ${size} bytes`, async (t) => {
      const origin = await startHostsOrigin(t);
      const bytes = randomBlob(size);
      const url = await holding(origin, await startMember(t, origin), bytes);
      const etag = `"sha512-${sha512Hex(bytes)}"`;

      const known = await fetch(url, { headers: { 'if-none-match': etag } });
      assert.deepEqual([known.status, (await bytesOf(known)).length], [304, 0]);
      const part = await fetch(url, { headers: { range: 'bytes=10-19', 'if-range': etag } });
      assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes 10-19/${size}`]);
      assert.deepEqual(await bytesOf(part), bytes.slice(10, 20));
      const other = await fetch(url, { headers: { range: 'bytes=10-19', 'if-range': '"other"' } });
      assert.deepEqual([other.status, (await bytesOf(other)).length], [200, size]);
      const beyond = await fetch(url, { headers: { range: `bytes=${size}-` } });
      assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, `bytes */${size}`]);
      assert.equal(beyond.headers.get('cache-control'), 'no-store');
      const head = await fetch(url, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length')], [200, `${size}`]);
    });
  }

  it('fetches for an approved host that signs, once for each signature, from the origin only', async (t) => {
    const origin = await startHostsOrigin(t);
    const helper = await startMember(t, origin);
    const mirror = await startMember(t, origin, { peers: [helper.url] });
    const signed = async (dir: string, path: string) => {
      return createHostSigner(await openHostKeys(dir), origin.keys.logName, Date.now).headers('GET', path, null);
    };
    const ask = (path: string, headers: Record<string, string>) => fetch(mirror.url + path, { headers });

    const sha512 = origin.addTarball(randomBlob(10));
    const path = `/-/federation/blob/sha512/${sha512}`;
    assert.equal((await ask(path, await signed(tempFolder(), path))).status, 401, 'a stranger');
    assert.equal((await ask(path, await signed(helper.data, `${path}0`))).status, 401, 'another path');
    assert.equal((await ask(path, await signed(helper.data, path))).status, 200);

    const atPeer = new URL(await holding(origin, helper, randomBlob(11))).pathname;
    origin.tarballs.clear();
    const headers = await signed(helper.data, atPeer);
    assert.equal((await ask(atPeer, headers)).status, 404, 'the peer is not asked');
    assert.equal((await ask(atPeer, headers)).status, 401, 'the signature was used');
  });

  it('mends a blob that rotted on the disk', async (t) => {
    const origin = await startHostsOrigin(t);
    // Too large to be sent out of memory.
    const bytes = randomBlob(5_000_000);
    const mirror = await startMember(t, origin);
    const url = await holding(origin, mirror, bytes);
    const file = blobPath(join(mirror.data, 'blobs'), { algorithm: 'sha512', hex: sha512Hex(bytes) });
    const stored = await readFile(file);
    stored.writeUInt8((stored.readUInt8(2_000_000) + 1) & 0xff, 2_000_000);
    await writeFile(file, stored);
    assert.deepEqual(await bytesOf(await fetch(url)), bytes);
    assert.ok(mirror.log.lines.some(({ msg }) => /going on from a fresh copy/.test(msg)));
    assert.deepEqual(await bytesOf(await fetch(url)), bytes);
  });
});

describe('other paths of a mirror', () => {
  it('has no registry: every other path says where to go instead', async (t) => {
    const origin = await startHostsOrigin(t);
    const { url } = await startTestMirror(t, origin.url);
    for (const path of ['/', '/express', '/express/-/express-4.0.0.tgz', '/-/v1/search', '/-/federation/nothing']) {
      const answer = await fetch(url + path);
      assert.equal(answer.status, 404, path);
      assert.match(((await answer.json()) as { error: string }).error, /this is a mirror/);
    }
    assert.equal((await fetch(`${url}/express`, { method: 'PUT', body: '{}' })).status, 403);
  });

  it('refuses hashes that are none', async (t) => {
    const origin = await startHostsOrigin(t);
    const { url } = await startTestMirror(t, origin.url);
    const hex = 'a'.repeat(128);
    for (const path of [`sha512/${hex.slice(1)}`, `sha512/${hex.toUpperCase()}`, `sha512/..%2f${hex.slice(5)}`]) {
      assert.equal((await fetch(`${url}/-/federation/blob/${path}`)).status, 400, path);
    }
    assert.equal((await fetch(`${url}/-/federation/blob/md5/${hex.slice(96)}`)).status, 404);
  });

  it('serves the signed list of hosts that it holds', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const answer = await fetch(`${mirror.url}/-/federation/hosts`);
    const list = openHostsList(await bytesOf(answer), origin.keys.hosts.vkey, origin.keys.logName);
    assert.ok(list.serial >= 1);
    const again = { headers: { 'if-none-match': answer.headers.get('etag') ?? '' } };
    assert.equal((await fetch(`${mirror.url}/-/federation/hosts`, again)).status, 304);
  });

  it('proves its URL for a nonce', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startTestMirror(t, origin.url);
    const nonce = randomBytes(12).toString('base64url');
    const answer = await fetch(`${mirror.url}/-/federation/identity/${nonce}`);
    const key = (await openHostKeys(mirror.data)).identity.vkey;
    checkIdentity(await bytesOf(answer), { url: mirror.url, key, nonce, logName: origin.keys.logName });
    assert.equal((await fetch(`${mirror.url}/-/federation/identity/short`)).status, 400);
  });

  it('tells how it is, and counts credentials without keeping them', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startTestMirror(t, origin.url);
    const secret = `Bearer ${randomBytes(12).toString('hex')}`;
    await fetch(`${mirror.url}/-/ping`, { headers: { authorization: secret } });
    const health = (await (await fetch(`${mirror.url}/-/healthz`)).json()) as Record<string, unknown>;
    assert.deepEqual([health.status, health.role, health.host], ['ok', 'mirror', mirror.hostId]);
    const metrics = await (await fetch(`${mirror.url}/-/metrics`)).text();
    assert.match(metrics, /open_registry_authorization_seen_total\{role="mirror"\} 1/);
    assert.equal(JSON.stringify(mirror.log.lines).includes(secret), false);
  });
});
