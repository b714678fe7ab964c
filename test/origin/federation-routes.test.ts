import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { openCheckpoint } from '../../src/core/checkpoint.ts';
import { type FeedEvent, FeedParser } from '../../src/core/event-stream.ts';
import { sha256Hex, sha512Hex } from '../../src/core/hash.ts';
import { openHostsList } from '../../src/core/hosts-list.ts';
import { openKeysNote } from '../../src/core/keys-note.ts';
import { parseMeasured } from '../../src/core/measured.ts';
import { formatHeartbeat } from '../../src/core/membership.ts';
import { makeApplicant } from '../support/applicant.ts';
import { type HostsOrigin, startHostsOrigin } from '../support/hosts-origin.ts';
import { markedUrl, randomBlob, startMember } from '../support/test-mirror.ts';

const get = (origin: HostsOrigin, path: string, headers: Record<string, string> = {}) =>
  fetch(`${origin.url}/-/federation/${path}`, { headers });
const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());
const HEARTBEAT = '/-/federation/hosts/heartbeat';
const heartbeat = formatHeartbeat({ url: 'http://127.0.0.1:1', stored: { blobs: 0, bytes: 0 }, failures: 0 });

describe('notes', () => {
  it('gives out the keys and the list of hosts, signed, with a tag to ask again by', async (t) => {
    const origin = await startHostsOrigin(t, { doorUrls: ['https://registry.example'] });
    const keys = openKeysNote(await bytesOf(await get(origin, 'keys')), origin.keys.rootVkey);
    const answer = await get(origin, 'hosts');
    assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    const list = openHostsList(await bytesOf(answer), keys.hosts, origin.keys.logName);
    assert.deepEqual(
      list.doors.map(({ url }) => url),
      [
        'https://registry.example',
        ...['localhost', '127.0.0.1', '[::1]'].map((name) => `http://${name}:${origin.port}`),
      ],
    );
    const etag = answer.headers.get('etag') ?? '';
    assert.equal((await get(origin, 'hosts', { 'if-none-match': etag })).status, 304);
  });

  it('keeps the serial over a restart unless the content changed', async (t) => {
    const origin = await startHostsOrigin(t);
    const { store, data, port } = origin;
    const before = await bytesOf(await get(origin, 'hosts'));
    await origin.close();
    const again = await startHostsOrigin(t, { store, data, port });
    assert.deepEqual(await bytesOf(await get(again, 'hosts')), before);
    await again.close();
    const moved = await startHostsOrigin(t, { store, data, port, doorUrls: ['https://registry.example'] });
    assert.equal(moved.hosts.publishedList()?.list.serial, 2);
  });
});

describe('content by its hash', () => {
  it('says what a tarball was measured to be, and 404 of one that was not', async (t) => {
    const origin = await startHostsOrigin(t);
    const [bytes, other] = [randomBlob(100_000), randomBlob(10)];
    const sha512 = await origin.addMeasured(bytes);
    const answer = await get(origin, `measured/${sha512}`);
    assert.deepEqual(parseMeasured(await bytesOf(answer), sha512), origin.measured.get(sha512));
    const etag = answer.headers.get('etag') ?? '';
    assert.equal((await get(origin, `measured/${sha512}`, { 'if-none-match': etag })).status, 304);
    assert.equal((await get(origin, `measured/${origin.addTarball(other)}`)).status, 404);
    assert.equal((await get(origin, 'measured/nonsense')).status, 400);
  });

  it('serves heads and blobs by sha256', async (t) => {
    const origin = await startHostsOrigin(t);
    const [blob, head] = [utf8('some blob'), utf8('head/1\nname x\n')];
    const put = [blob, head].map((bytes) => ({ id: { algorithm: 'sha256' as const, hex: sha256Hex(bytes) }, bytes }));
    await origin.blobs.putMany(put);
    const answer = await get(origin, `blob/sha256/${sha256Hex(blob)}`);
    assert.deepEqual(await bytesOf(answer), blob);
    assert.equal(answer.headers.get('repr-digest'), `sha-256=:${createHash('sha256').update(blob).digest('base64')}:`);
    assert.equal((await get(origin, `head/${sha256Hex(head)}`)).status, 200);
    assert.equal((await get(origin, `head/${sha256Hex(blob)}`)).status, 404);
  });

  it('serves tarballs by sha512, in parts too, and 404 for hashes that the index does not know', async (t) => {
    const origin = await startHostsOrigin(t);
    const bytes = randomBlob(1_000);
    const sha512 = origin.addTarball(bytes);
    assert.deepEqual(await bytesOf(await get(origin, `blob/sha512/${sha512}`)), bytes);
    const part = await get(origin, `blob/sha512/${sha512}`, { range: 'bytes=-10' });
    assert.deepEqual([part.status, await bytesOf(part)], [206, bytes.slice(-10)]);
    const unknown = await get(origin, `blob/sha512/${'0'.repeat(128)}`);
    assert.equal(unknown.status, 404);
    assert.match(((await unknown.json()) as { error: string }).error, /the index has no tarball/);
  });

  it('refuses what is no hash, and methods that fit no path', async (t) => {
    const origin = await startHostsOrigin(t);
    assert.equal((await get(origin, 'blob/sha512/abc')).status, 400);
    assert.equal((await get(origin, 'blob/sha1/abc')).status, 404);
    assert.equal((await get(origin, 'constructor')).status, 404);
    const posted = await fetch(`${origin.url}/-/federation/keys`, { method: 'POST' });
    assert.deepEqual([posted.status, posted.headers.get('allow')], [405, 'GET']);
  });

  it('takes back a client that a host sent back: counts the host, looks at it, keeps to a budget', async (t) => {
    const origin = await startHostsOrigin(t, { bytesPerNetwork: 1_500 });
    const mirror = await startMember(t, origin);
    const bytes = randomBlob(1_000);
    const sha512 = origin.addTarball(bytes);
    const mark = new URL(markedUrl(origin, mirror, sha512)).searchParams.get('for');
    const looked = origin.log.next(({ msg }) => msg === 'looked at a host');
    const direct = `blob/sha512/${sha512}?direct=${mark}`;
    assert.deepEqual(await bytesOf(await get(origin, direct)), bytes);
    await looked;
    assert.match(
      (await origin.metrics.page()).body.toString(),
      new RegExp(`host_bounces_total{host="${mirror.hostId}"`),
    );
    assert.equal((await get(origin, direct)).status, 429);
    assert.equal((await get(origin, `blob/sha512/${sha512Hex(randomBlob(1))}?direct=${mark}`)).status, 404);
  });
});

describe('signed requests', () => {
  it('refuses heartbeats that are unsigned, of strangers, of hosts that wait, or sent twice', async (t) => {
    const origin = await startHostsOrigin(t);
    const applicant = await makeApplicant(origin);
    const unsigned = await fetch(origin.url + HEARTBEAT, { method: 'POST', body: Buffer.from(heartbeat) });
    assert.equal(unsigned.status, 401);
    assert.equal((await applicant.send('POST', HEARTBEAT, heartbeat)).status, 401);
    await applicant.apply();
    assert.equal((await applicant.send('POST', HEARTBEAT, heartbeat)).status, 403);
    const again = await captured(() => applicant.send('POST', HEARTBEAT, heartbeat));
    const replayed = await again();
    assert.equal(replayed.status, 401);
    assert.match(((await replayed.json()) as { error: string }).error, /nonce was used before/);
  });

  it('refuses after a restart what was signed before it', async (t) => {
    const origin = await startHostsOrigin(t);
    const { store, data, port } = origin;
    const applicant = await makeApplicant(origin);
    const again = await captured(() => applicant.apply());
    await origin.close();
    await startHostsOrigin(t, { store, data, port, now: () => Date.now() + 3_500 });
    const replayed = await again();
    assert.equal(replayed.status, 401);
    assert.match(((await replayed.json()) as { error: string }).error, /before this server started/);
  });

  it('gives no presence to a feed without the signature of an approved host', async (t) => {
    const origin = await startHostsOrigin(t);
    const applicant = await makeApplicant(origin);
    await applicant.apply();
    assert.equal((await applicant.send('GET', '/-/federation/changes', null)).status, 403);
    const forged = { signature: `sig1=:${'A'.repeat(86)}==:` };
    assert.equal((await applicant.send('GET', '/-/federation/changes', null, forged)).status, 401);
    const anonymous = await get(origin, 'changes');
    assert.equal(anonymous.headers.get('content-type'), 'text/event-stream');
    assert.equal(origin.hosts.views()[0]?.present, false);
    await anonymous.body?.cancel();
  });

  it('tells every feed of each checkpoint, and a reader that comes back only of those that it has not seen', async (t) => {
    const origin = await startHostsOrigin(t);
    const [first, resumed] = await Promise.all([
      get(origin, 'changes'),
      get(origin, 'changes', { 'last-event-id': '1' }),
    ]);
    await startMember(t, origin);
    const [seen, later] = await Promise.all([checkpointsOf(first, 2), checkpointsOf(resumed, 1)]);
    assert.deepEqual(
      seen.map(({ id }) => id),
      ['1', '3'],
    );
    assert.deepEqual(later, seen.slice(1));
    for (const { id, data } of seen) {
      assert.equal(openCheckpoint(data, [origin.keys.log.vkey], origin.keys.logName).checkpoint.size, Number(id));
    }
    assert.equal(await (await get(origin, 'checkpoint')).text(), seen[1]?.data);
  });

  it('tells every feed of a new list', async (t) => {
    const origin = await startHostsOrigin(t);
    const feed = await get(origin, 'changes');
    const mirror = await startMember(t, origin);
    const lists: string[] = [];
    const parser = new FeedParser();
    for await (const bytes of feed.body ?? []) {
      lists.push(...parser.push(bytes).flatMap(({ event, data }) => (event === 'hosts' ? [data] : [])));
      if (lists.length === 2) break;
    }
    assert.deepEqual(lists, ['1', '2']);
    assert.equal(origin.hosts.publishedList()?.list.hosts[0]?.id, mirror.hostId);
  });
});

/** The first events of this kind in a feed. */
async function checkpointsOf(feed: Response, count: number): Promise<FeedEvent[]> {
  const found: FeedEvent[] = [];
  const parser = new FeedParser();
  for await (const bytes of feed.body ?? []) {
    found.push(...parser.push(bytes).filter(({ event }) => event === 'checkpoint'));
    if (found.length >= count) break;
  }
  return found;
}

/** Sends the request; the answer sends the same bytes again, as someone who saw them could. */
async function captured(send: () => Promise<Response>): Promise<() => Promise<Response>> {
  const real = globalThis.fetch;
  let again: (() => Promise<Response>) | null = null;
  globalThis.fetch = (...request) => {
    again = () => real(...request);
    return real(...request);
  };
  await send().finally(() => {
    globalThis.fetch = real;
  });
  assert.ok(again, 'nothing was sent');
  return again;
}
