import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reached } from '../support/reached.ts';
import { SignedLog, serveLog } from '../support/signed-log.ts';
import { startTestMirror } from '../support/test-mirror.ts';

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
});
