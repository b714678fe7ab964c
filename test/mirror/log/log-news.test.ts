import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHECKPOINT_HEADER, formatCheckpointHeader } from '../../../src/core/checkpoint-header.ts';
import { reached } from '../../support/reached.ts';
import { SignedLog, serveLog } from '../../support/signed-log.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';

/** So rarely that nothing is found by looking without a reason. */
const RARELY = { originMs: 600_000, peersMs: 600_000, peersAwayMs: 600_000 };

describe('a mirror that is told of many checkpoints at once', () => {
  for (const count of [20, 150]) {
    it(`follows the last of ${count}, and asks for little on the way`, async (t) => {
      const server = await serveLog(t, new SignedLog().growTo(10));
      const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' }, { logTimes: RARELY });
      await reached(mirror.follower, 10);
      await server.feeds(1);
      const notes: string[] = [];
      for (let told = 0; told < count; told++) notes.push(await server.log.growTo(server.log.size + 5).note());
      const before = server.asked.length;
      for (const note of notes) void server.publish(note);
      await reached(mirror.follower, server.log.size);
      const bundles = server.asked.slice(before).filter((line) => line.includes('/tile/entries/'));
      assert.ok(bundles.length < count / 2, `${bundles.length} bundles asked for`);
    });
  }

  it('by visitors, and has room for what its origin tells', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(60));
    const notes = await Promise.all(Array.from({ length: 40 }, (_, at) => server.log.note(10 + at)));
    const logTimes = { ...RARELY, tileTimeoutMs: 120_000 };
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' }, { logTimes });
    await reached(mirror.follower, 60);
    await server.feeds(1);
    const released = Promise.withResolvers<void>();
    server.lie(/^tile/, async (honest) => {
      await released.promise;
      return honest;
    });
    const show = async (note: string) => {
      const headers = { [CHECKPOINT_HEADER]: formatCheckpointHeader(note) };
      await (await fetch(`${mirror.url}/-/federation/checkpoint`, { headers })).arrayBuffer();
    };
    await show(await server.log.growTo(70).note());
    await until('it follows what a visitor told', () => server.asked.some((line) => line.includes('/tile/0/000.p/70')));
    for (const note of notes) await show(note);
    const before = server.asked.length;
    server.log.growTo(80);
    await server.publish();
    for (let look = 0; look < 20; look++) await show('');
    released.resolve();
    await reached(mirror.follower, 80);
    const looks = server.asked.slice(before).filter((line) => line.endsWith('/checkpoint'));
    assert.deepEqual(looks, [], 'what the feed told was enough');
  });
});
