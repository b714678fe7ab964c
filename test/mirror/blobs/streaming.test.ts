import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { sha512Hex } from '../../../src/core/hash.ts';
import { CHUNK_BYTES } from '../../../src/core/limits.ts';
import { startBlobSource } from '../../support/blob-source.ts';
import { type HostsOrigin, startHostsOrigin } from '../../support/hosts-origin.ts';
import { markedUrl, randomBlob, startMember, type TestMirror } from '../../support/test-mirror.ts';

const SIZE = 10 * CHUNK_BYTES + 1_000;
const npm = { 'user-agent': 'npm/10.9.0 node/v22.0.0 linux x64 workspaces/false' };
const pnpm = { 'user-agent': 'pnpm/10.0.0 npm/? node/v22.0.0 linux x64' };
const manual: RequestInit = { redirect: 'manual' };

const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());

/** An origin, and a mirror that asks a peer first, which does as the test wants. */
async function start(t: TestContext) {
  const origin = await startHostsOrigin(t);
  const peer = await startBlobSource(t);
  const mirror = await startMember(t, origin, { peers: [peer.url] });
  return { origin, peer, mirror };
}

const ask = (origin: HostsOrigin, mirror: TestMirror, sha512: string, headers: Record<string, string> = pnpm) =>
  fetch(markedUrl(origin, mirror, sha512), { ...manual, headers });

/** Reads until so many bytes have come. */
async function take(body: ReadableStreamDefaultReader<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let got = 0; got < bytes; ) {
    const { done, value } = await body.read();
    assert.ok(!done, `the body ended after ${got} bytes`);
    parts.push(value);
    got += value.length;
  }
  return Buffer.concat(parts);
}

function withOneBitWrong(bytes: Uint8Array): Uint8Array {
  const wrong = Uint8Array.from(bytes);
  wrong[10] = (wrong[10] as number) ^ 1;
  return wrong;
}

/** Begins with so many bytes at most of those given, is zeros from there on, and has the announced length. */
function assertFilled(body: Uint8Array, bytes: Uint8Array, most: number): void {
  const same = body.findIndex((byte, at) => byte !== bytes[at]);
  assert.equal(body.length, bytes.length);
  assert.ok(same > 0 && same <= most + 8, `${same} bytes before the filler`);
  assert.ok(body.subarray(same).every((byte) => byte === 0));
}

const asksAt = (origin: HostsOrigin, sha512: string) =>
  origin.asked.filter((line) => line.includes(`/blob/sha512/${sha512}`)).length;

describe('a missing blob with chunk hashes', () => {
  it('leaves chunk by chunk while it is still coming in', async (t) => {
    const { origin, peer, mirror } = await start(t);
    const bytes = randomBlob(SIZE);
    const sha512 = await origin.addMeasured(bytes);
    peer.add(bytes);
    const pause = peer.pauseAt(5 * CHUNK_BYTES + 7);
    const answer = await ask(origin, mirror, sha512, {});
    const body = answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    const begin = await take(body, 5 * CHUNK_BYTES);
    await pause.reached;
    assert.equal(begin.length, 5 * CHUNK_BYTES);
    assert.equal(answer.headers.get('content-length'), `${SIZE}`);
    assert.equal(answer.headers.get('cache-control'), 'private, max-age=31536000, immutable');
    pause.goOn();
    const rest = await take(body, SIZE - begin.length);
    assert.equal(sha512Hex(Buffer.concat([begin, rest])), sha512);
    assert.equal((await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`)).status, 200);
  });

  it('is fetched once for many, who all read from its start, ranges too', async (t) => {
    const { origin, peer, mirror } = await start(t);
    const bytes = randomBlob(SIZE);
    const sha512 = await origin.addMeasured(bytes);
    peer.add(bytes);
    const pause = peer.pauseAt(4 * CHUNK_BYTES);
    const early = Array.from({ length: 20 }, () => ask(origin, mirror, sha512));
    await pause.reached;
    const late = Array.from({ length: 20 }, () => ask(origin, mirror, sha512));
    const part = ask(origin, mirror, sha512, { range: `bytes=100-${6 * CHUNK_BYTES}` });
    const leaver = await ask(origin, mirror, sha512);
    await leaver.body?.cancel();
    pause.goOn();
    for (const answer of await Promise.all([...early, ...late])) assert.equal(sha512Hex(await bytesOf(answer)), sha512);
    assert.deepEqual(await bytesOf(await part), bytes.subarray(100, 6 * CHUNK_BYTES + 1));
    assert.deepEqual([peer.asked, asksAt(origin, sha512)], [[0], 0]);
  });

  for (const [what, spoil] of [
    ['breaks off', (peer) => peer.breakAt(3 * CHUNK_BYTES + 5)],
    [
      'sends a wrong chunk',
      (peer, bytes, sha512) => peer.blobs.set(sha512, Uint8Array.from(bytes).fill(0, 3 * CHUNK_BYTES + 5, SIZE)),
    ],
  ] satisfies [
    string,
    (peer: Awaited<ReturnType<typeof startBlobSource>>, bytes: Uint8Array, sha512: string) => void,
  ][]) {
    it(`goes on from the next source where one ${what}`, async (t) => {
      const { origin, peer, mirror } = await start(t);
      const bytes = randomBlob(SIZE);
      const sha512 = await origin.addMeasured(bytes);
      peer.add(bytes);
      spoil(peer, bytes, sha512);
      assert.deepEqual(await bytesOf(await ask(origin, mirror, sha512)), bytes);
      assert.equal(asksAt(origin, sha512), 1);
      const metrics = await (await fetch(`${mirror.url}/-/metrics`)).text();
      assert.match(metrics, /fetches_total{source="peer 1",outcome="(wrong-bytes|failed)"/);
    });
  }

  it('is asked of the same source again where that breaks off, as long as something comes', async (t) => {
    const origin = await startHostsOrigin(t);
    const peer = await startBlobSource(t);
    const mirror = await startMember(t, origin, { peers: [peer.url] });
    const bytes = randomBlob(SIZE);
    const sha512 = await origin.addMeasured(bytes);
    origin.tarballs.delete(sha512);
    peer.add(bytes);
    peer.breakAt(3 * CHUNK_BYTES + 5);
    const answer = await ask(origin, mirror, sha512);
    peer.breakAt(Number.POSITIVE_INFINITY);
    assert.deepEqual(await bytesOf(answer), bytes);
    // What was in its last packets may have been lost with the connection.
    const [first, second = 0, ...more] = peer.asked;
    assert.deepEqual([first, second % CHUNK_BYTES, more], [0, 0, []]);
    assert.ok(second > 0 && second <= 3 * CHUNK_BYTES);
  });

  it('is filled up for npm and cut for others when nobody can go on', async (t) => {
    for (const [headers, end] of [[npm, 'fill'] as const, [pnpm, 'cut'] as const]) {
      const { origin, peer, mirror } = await start(t);
      const bytes = randomBlob(SIZE);
      const sha512 = await origin.addMeasured(bytes);
      origin.tarballs.delete(sha512);
      peer.add(bytes);
      peer.breakAt(3 * CHUNK_BYTES + 5);
      const answer = await ask(origin, mirror, sha512, headers);
      assert.equal(answer.status, 200);
      const body = await bytesOf(answer).catch(() => 'cut');
      if (end === 'cut') assert.equal(body, 'cut');
      else assertFilled(body as Uint8Array, bytes, 3 * CHUNK_BYTES);
      assert.equal((await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`)).status, 404);
      assert.deepEqual(readdirSync(join(mirror.data, 'blobs', 'tmp')), []);
    }
  });
});

describe('a missing blob without chunk hashes', () => {
  it('leaves at once but for its tail', async (t) => {
    const { origin, peer, mirror } = await start(t);
    const bytes = randomBlob(SIZE);
    const sha512 = peer.add(bytes);
    const pause = peer.pauseAt(SIZE - 1);
    const answer = await ask(origin, mirror, sha512);
    const body = answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    const begin = await take(body, SIZE - CHUNK_BYTES);
    await pause.reached;
    assert.equal(begin.length, SIZE - CHUNK_BYTES);
    pause.goOn();
    assert.equal(sha512Hex(Buffer.concat([begin, await take(body, CHUNK_BYTES)])), sha512);
  });

  for (const [who, headers] of [
    ['may check nothing', { 'user-agent': 'got (https://github.com/sindresorhus/got)' }],
    ['unpacks while it checks', npm],
  ] as const) {
    it(`reaches a client that ${who} only when the whole is right, if a stranger sends it`, async (t) => {
      const { origin, peer, mirror } = await start(t);
      const sha512 = origin.addTarball(randomBlob(SIZE));
      peer.blobs.set(sha512, randomBlob(SIZE));
      assert.equal((await ask(origin, mirror, sha512, headers)).status, 302);
      assert.equal(sha512Hex(await bytesOf(await ask(origin, mirror, sha512, headers))), sha512);
    });
  }

  it('is cut before its tail when the whole turns out wrong, and asked of the next source afterwards', async (t) => {
    const { origin, peer, mirror } = await start(t);
    const bytes = randomBlob(SIZE);
    const sha512 = origin.addTarball(bytes);
    peer.blobs.set(sha512, withOneBitWrong(bytes));
    await assert.rejects(bytesOf(await ask(origin, mirror, sha512)));
    assert.deepEqual(await bytesOf(await ask(origin, mirror, sha512)), bytes);
    const line = await mirror.log.until(({ msg }) => /wrong bytes/.test(msg));
    assert.equal(line.source, peer.url);
  });

  it('is filled for npm, where only the origin is asked', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const bytes = randomBlob(SIZE);
    const wrong = withOneBitWrong(bytes);
    const sha512 = origin.addTarball(wrong, sha512Hex(bytes));
    assertFilled(await bytesOf(await ask(origin, mirror, sha512, npm)), wrong, SIZE - CHUNK_BYTES);
  });

  it('of one chunk is checked whole, so that the next source can be asked for all of it', async (t) => {
    const { origin, peer, mirror } = await start(t);
    const bytes = randomBlob(CHUNK_BYTES);
    const sha512 = origin.addTarball(bytes);
    peer.blobs.set(sha512, randomBlob(CHUNK_BYTES));
    assert.deepEqual(await bytesOf(await ask(origin, mirror, sha512)), bytes);
  });
});
