import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  CHECKPOINT_HEADER,
  formatCheckpointHeader,
  parseCheckpointHeader,
} from '../../../src/core/checkpoint-header.ts';
import { bundlePath, newTiles, tilePath } from '../../../src/core/tile.ts';
import { reached } from '../../support/reached.ts';
import {
  LOG_NAME,
  type LogServer,
  learned,
  makeLogKeys,
  newSigner,
  SignedLog,
  serveLog,
  vkeyOf,
} from '../../support/signed-log.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { startHost, startWholeOrigin } from '../../support/whole-origin.ts';

const at = (url: string, path: string, headers = {}) => fetch(`${url}/-/federation/${path}`, { headers });
const textAt = async (url: string, path: string) => (await at(url, path)).text();
/** Without the cosignatures of mirrors, which come a moment later. */
const checkpointAt = async (url: string) => (await textAt(url, 'checkpoint')).replaceAll(/^— mirror\/.*\n/gm, '');
const bytesAt = async (url: string, path: string) => {
  const answer = await at(url, path);
  return [answer.status, Buffer.from(await answer.arrayBuffer()).toString('hex')];
};
const health = async (url: string) => ((await (await fetch(`${url}/-/healthz`)).json()) as { log: LogHealth }).log;
type LogHealth = {
  size: number;
  stopped: string | null;
  sources: Record<string, string>;
  splitViews: { source: string }[];
};

/** Looks at an origin often enough for a test that no feed tells of anything. */
const OFTEN = { originMs: 20, peersMs: 20, peersAwayMs: 20 };

describe('a mirror and its origin’s log', () => {
  it('follows each change, and serves the same checkpoint, tiles and entries', async (t) => {
    const origin = await startWholeOrigin(t);
    const mirror = await startHost(t, origin);
    for (const name of ['alpha', 'beta', 'gamma']) {
      origin.put(name);
      assert.equal((await origin.ask(`/${name}`)).status, 200);
    }
    const note = await checkpointAt(origin.door);
    const size = Number(note.split('\n')[1]);
    await reached(mirror.follower, size);
    await mirror.follower.catchUp();
    assert.equal(await checkpointAt(mirror.url), note, 'with the cosignatures that it got since');
    const tiles = newTiles(0, size);
    const paths = [...tiles.map(tilePath), ...tiles.filter(({ level }) => level === 0).map(bundlePath)];
    assert.ok(paths.length >= 2);
    for (const path of [...paths, `tile/0/000.p/${size + 1}`, 'tile/entries/000', 'tile/nonsense']) {
      assert.deepEqual((await bytesAt(mirror.url, path))[1], (await bytesAt(origin.door, path))[1], path);
    }
    assert.equal(await textAt(mirror.url, 'keys'), await textAt(origin.door, 'keys'));
    assert.equal((await health(mirror.url)).size, size);
    assert.deepEqual((await health(mirror.url)).sources, { origin: 'current' });
  });

  it('takes what the feed tells as a hint, and looks by itself where there is no feed', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' });
    await reached(mirror.follower, 10);
    await server.feeds(1);
    server.log.growTo(20);
    await server.publish();
    await reached(mirror.follower, 20);
    const asked = server.asked.filter((line) => line.endsWith('/checkpoint')).length;
    assert.equal(asked, 1, 'the note that the feed told was used');
    const poller = await startTestMirror(t, server.url, {}, { logTimes: OFTEN });
    await reached(poller.follower, 20);
    server.log.growTo(30);
    await reached(poller.follower, 30);
  });

  it('goes on from what it holds after a restart, with the origin away', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(300));
    const first = await startTestMirror(t, server.url);
    await reached(first.follower, 300);
    await first.close();
    await server.close();
    const again = await startTestMirror(t, server.url, { data: first.data });
    assert.equal(await checkpointAt(again.url), await server.log.note());
    assert.equal((await at(again.url, 'tile/1/000.p/1')).status, 200);
  });

  it('tells that it stopped at an entry of a later version, and goes on serving', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const mirror = await startTestMirror(t, server.url, {}, { logTimes: OFTEN });
    await reached(mirror.follower, 10);
    const note = await checkpointAt(mirror.url);
    server.log.addRaw(Buffer.from('commit/9\ntime 1\nmap x\n'));
    await mirror.log.until(({ msg, level }) => level === 'error' && /upgrade this mirror/.test(msg));
    assert.match((await health(mirror.url)).stopped ?? '', /entry 10 .*upgrade this mirror/);
    assert.equal(await checkpointAt(mirror.url), note);
  });
});

describe('an origin that shows two histories', () => {
  /** A mirror that holds one history of 400 entries, and a server that shows another one. */
  async function startBetween(t: import('node:test').TestContext) {
    const server = await serveLog(t, new SignedLog().growTo(300));
    const other = await serveLog(t, server.log.fork(300).add(learned('evil')).growTo(420));
    server.log.growTo(400);
    const mirror = await startTestMirror(t, server.url, { peers: [other.url] }, { logTimes: OFTEN });
    return { server, other, mirror };
  }

  it('is caught: both notes are kept, the alarm is raised, what is held goes on being served', async (t) => {
    const { server, mirror } = await startBetween(t);
    const line = await mirror.log.until(({ msg, level }) => level === 'error' && /two histories/.test(msg));
    assert.equal(line.source, 'peer 1');
    const shown = await health(mirror.url);
    assert.deepEqual(
      [shown.sources, shown.splitViews.length, shown.splitViews[0]?.source],
      [{ origin: 'current', 'peer 1': 'split-view' }, 1, 'peer 1'],
    );
    assert.equal((await readdir(join(mirror.data, 'evidence'))).length, 1);
    const metrics = await (await fetch(`${mirror.url}/-/metrics`)).text();
    assert.match(metrics, /mirror_split_views_total{source="peer 1",role="mirror"} [1-9]/);
    assert.match(metrics, /log_split_views{role="mirror"} 1/);
    server.log.growTo(500);
    await reached(mirror.follower, 500);
    assert.equal(await checkpointAt(mirror.url), await server.log.note());
  });

  it('is remembered over a restart, and the same pair is told once', async (t) => {
    const { server, other, mirror } = await startBetween(t);
    await mirror.log.until(({ msg }) => /two histories/.test(msg));
    await mirror.close();
    await writeFile(join(mirror.data, 'evidence', 'README'), 'what an operator wrote beside it');
    const again = await startTestMirror(t, server.url, { data: mirror.data, peers: [other.url] }, { logTimes: OFTEN });
    assert.equal((await health(again.url)).splitViews.length, 1);
    await again.log.until(({ msg }) => /shows another history/.test(msg));
    assert.ok(!again.log.lines.some(({ level }) => level === 'error'));
  });

  it('is found out by a visitor that tells its checkpoint', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(300));
    const mirror = await startTestMirror(t, server.url);
    await reached(mirror.follower, 300);
    const evil = server.log.fork(100).add(learned('evil')).growTo(200);
    const headers = { [CHECKPOINT_HEADER]: formatCheckpointHeader(await evil.note()) };
    const answer = await at(mirror.url, 'checkpoint', headers);
    assert.equal(parseCheckpointHeader(answer.headers.get(CHECKPOINT_HEADER) ?? ''), await server.log.note());
    const line = await mirror.log.until(({ msg, level }) => level === 'error' && /two histories/.test(msg));
    assert.equal(line.source, 'a visitor');
  });
});

describe('gossip', () => {
  it('goes with every request to origin and peers', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(5));
    const mirror = await startTestMirror(t, server.url, {}, { logTimes: OFTEN });
    await reached(mirror.follower, 5);
    const note = await server.log.note();
    server.log.growTo(9);
    await reached(mirror.follower, 9);
    const at = server.asked.findIndex((line) => line.includes('/tile/entries/000.p/9'));
    assert.equal(parseCheckpointHeader(server.headers[at]?.[CHECKPOINT_HEADER]), note);
  });

  it('brings a mirror to what somebody else holds already', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(5));
    const mirror = await startTestMirror(t, server.url);
    await reached(mirror.follower, 5);
    server.log.growTo(9);
    const headers = { [CHECKPOINT_HEADER]: formatCheckpointHeader(await server.log.note()) };
    await at(mirror.url, 'checkpoint', headers);
    await reached(mirror.follower, 9);
  });

  it('of strangers is no reason to ask anybody', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(5));
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' });
    await server.feeds(1);
    await reached(mirror.follower, 5);
    const asked = server.asked.length;
    const stranger = new SignedLog(makeLogKeys()).growTo(9);
    const values = [formatCheckpointHeader(await stranger.note()), 'x', 'a'.repeat(10_000), ''];
    for (const value of values) await at(mirror.url, 'checkpoint', { [CHECKPOINT_HEADER]: value });
    await mirror.follower.catchUp();
    const since = server.asked.slice(asked).filter((line) => /checkpoint|tile/.test(line));
    assert.deepEqual(since, ['GET /-/federation/checkpoint'], 'only what this test asked for');
  });
});

describe('peers', () => {
  /** Nobody listens there. */
  const NOBODY = 'http://127.0.0.1:1';

  it('are enough for a mirror that knows the origin’s key', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(300));
    const first = await startTestMirror(t, server.url);
    await reached(first.follower, 300);
    const originKey = vkeyOf(server.log.keys.root);
    const second = await startTestMirror(t, NOBODY, { originKey, peers: [first.url] }, { logTimes: OFTEN });
    await reached(second.follower, 300);
    assert.equal(await checkpointAt(second.url), await server.log.note());
    assert.equal(await textAt(second.url, 'keys'), await server.log.keysNote());
  });

  it('are not believed by one that does not, nor with another origin’s key', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(30));
    for (const originKey of [null, vkeyOf(makeLogKeys().root)]) {
      const mirror = await startTestMirror(t, NOBODY, { originKey, peers: [server.url] }, { logTimes: OFTEN });
      await mirror.log.until(({ source, msg }) => source === 'peer 1' && /gave something wrong/.test(msg));
      assert.equal(mirror.follower.checkpoint(), null);
      assert.equal((await at(mirror.url, 'checkpoint')).status, 503);
    }
  });

  it('that never answer hold up nothing that the feed tells', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const silent = await serveLog(t, server.log);
    silent.lie(/^checkpoint/, () => null);
    const config = { peers: [silent.url], door: 'http://door.example' };
    const logTimes = { noteTimeoutMs: 120_000 };
    const mirror = await startTestMirror(t, server.url, config, { logTimes });
    await server.feeds(1);
    await until('the peer is being asked', () => silent.asked.length > 0);
    server.log.growTo(20);
    await server.publish();
    await reached(mirror.follower, 20);
    assert.equal((await health(mirror.url)).sources['peer 1'], 'unknown', 'it has not answered yet');
  });

  for (const hidden of [/^tile/, /^keys/]) {
    it(`that tell of news and keep back ${hidden.source.slice(1)} give way to the origin`, async (t) => {
      const server = await serveLog(t, new SignedLog().growTo(10));
      const mean = await serveLog(t, server.log);
      mean.lie(hidden, () => null);
      const config = { peers: [mean.url], door: 'http://door.example' };
      const logTimes = { noteTimeoutMs: 120_000, tileTimeoutMs: 120_000, originMs: 20, peersMs: 20, patienceMs: 20 };
      const mirror = await startTestMirror(t, server.url, config, { logTimes });
      await reached(mirror.follower, 10);
      const newer = server.log.fork(10).growTo(20);
      const stranger = newSigner(LOG_NAME);
      mean.log = newer;
      mean.shown = hidden.test('keys') ? await newer.note(20, stranger) : await newer.note();
      await until('the peer keeps it back', () =>
        mean.asked.some((line) => hidden.test(line.split('/-/federation/')[1] ?? '')),
      );
      server.log = newer;
      await reached(mirror.follower, 20);
      await until('the peer is known for it', () => mirror.follower.sources()['peer 1'] === 'away');
    });
  }

  for (const [what, lie] of [
    [
      'sends wrong tiles',
      (server: LogServer) => server.lie(/^tile\/\d/, (honest) => ({ ...honest, body: new Uint8Array(32) })),
    ],
    [
      'sends wrong entries',
      (server: LogServer) =>
        server.lie(/^tile\/entries/, (honest) => ({ ...honest, headers: {}, body: new Uint8Array(99) })),
    ],
    ['never answers', (server: LogServer) => server.lie(/^tile/, () => null)],
  ] as const) {
    it(`help where the origin ${what}`, async (t) => {
      const server = await serveLog(t, new SignedLog().growTo(300));
      lie(server);
      const peer = await serveLog(t, server.log);
      const times = { originMs: 60_000, peersMs: 60_000, peersAwayMs: 60_000, tileTimeoutMs: 100 };
      const config = { peers: [peer.url], door: 'http://door.example' };
      const mirror = await startTestMirror(t, server.url, config, { logTimes: times });
      await reached(mirror.follower, 300);
      assert.equal(await checkpointAt(mirror.url), await server.log.note());
      assert.notEqual((await health(mirror.url)).sources.origin, 'current');
    });
  }
});

describe('a log key that the root key replaces', () => {
  it('is followed, and the one before it is never believed again', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const [oldNote, oldKeys] = [await server.log.note(), await server.log.keysNote()];
    const originKey = vkeyOf(server.log.keys.log);
    const mirror = await startTestMirror(t, server.url, { originKey }, { logTimes: OFTEN });
    await reached(mirror.follower, 10);
    await server.log.rotate();
    await reached(mirror.follower, 12);
    assert.equal(await checkpointAt(mirror.url), await server.log.note());
    assert.equal(await textAt(mirror.url, 'keys'), await server.log.keysNote());

    // Whoever has the old key could sign anything with it, and the note that names it was once true.
    server.lie(/^keys$/, (honest) => ({ ...honest, body: Buffer.from(oldKeys) }));
    server.shown = oldNote;
    const line = await mirror.log.until(({ source, msg }) => source === 'origin' && /gave something wrong/.test(msg));
    assert.match(String(line.reason), /was replaced/);
    await mirror.close();
    server.beHonest();
    server.shown = null;
    const again = await startTestMirror(t, server.url, { originKey, data: mirror.data }, { logTimes: OFTEN });
    server.log.growTo(20);
    await reached(again.follower, 20);
  });

  it('is not followed without the root key’s word', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const mirror = await startTestMirror(t, server.url, {}, { logTimes: OFTEN });
    await reached(mirror.follower, 10);
    const { log } = server.log.keys;
    const forged = {
      previous: vkeyOf(log),
      key: vkeyOf(newSigner(log.name)),
      signature: Buffer.alloc(64).toString('base64'),
    };
    server.log.add({ kind: 'log-key', ...forged });
    const line = await mirror.log.until(({ source, msg }) => source === 'origin' && /gave something wrong/.test(msg));
    assert.match(String(line.reason), /root key .* did not sign/);
    assert.equal(mirror.follower.size(), 10);
  });
});
