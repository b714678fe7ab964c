import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equal, toHex } from '../../../src/core/bytes.ts';
import { openMirrorStores } from '../../../src/io/stores.ts';
import { openHeldLog } from '../../../src/mirror/log/held-log.ts';
import { freePort } from '../../support/processes.ts';
import { SignedLog, serveLog, vkeyOf } from '../../support/signed-log.ts';
import { spawnMirror, startMirrorProcess } from '../../support/spawn-mirror.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:1';

/** Resolves when the mirror shows this checkpoint. */
async function shows(url: string, note: string): Promise<void> {
  await until(`${url} shows the checkpoint`, async () => {
    const answer = await fetch(`${url}/-/federation/checkpoint`);
    // The mirror's own cosignature stands beneath those of the note.
    return (await answer.text()).startsWith(note);
  });
}

/** How far a killed mirror came: entries held, folded, and shown. */
async function stateOf(data: string) {
  const stores = await openMirrorStores(data);
  const row = await stores.index.get('setting', 'checkpoint');
  const [held, folded] = [await stores.index.head(), await stores.index.folded()];
  await stores.close();
  return { held, folded, shown: row === null ? 0 : Number(row.value.split('\n')[1]) };
}

// The log's first 5,000 entries make three steps, so each of these is passed on the way, and the second time half-way.
for (const [step, times, held, folded, shown] of [
  ['log:aimed', 1, 0, 0, 0],
  ['log:appended', 1, 2_048, 0, 0],
  ['log:folded', 1, 2_048, 2_048, 0],
  ['log:appended', 2, 4_096, 2_048, 0],
  ['log:folded', 2, 4_096, 4_096, 0],
  ['log:served', 1, 5_000, 5_000, 5_000],
] as const) {
  test(`a mirror that is killed at ${step} (${times}) goes on from there and reads nothing twice`, async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(5_000));
    const data = tempFolder();
    const first = spawnMirror(t, server.url, data, { until: step, times });
    assert.deepEqual(await first.ended, [null, 'SIGKILL']);
    const state = await stateOf(data);
    assert.deepEqual([state.held.size, state.folded, state.shown], [held, folded, shown]);
    assert.ok(equal(state.held.root, server.log.head(held).root));

    server.asked.splice(0);
    const second = await startMirrorProcess(t, server.url, data);
    await shows(second.url, await server.log.note());
    const read = server.asked.filter((line) => line.includes('/tile/entries/')).length;
    assert.equal(read, Math.ceil((5_000 - held) / 256));
    await second.kill();
    const stores = await openMirrorStores(data);
    const log = await openHeldLog(stores.index);
    assert.equal(toHex(log.head().root), toHex(server.log.head().root));
    assert.equal(await stores.index.count('name'), 4_999);
    await stores.close();
  });
}

test('three mirrors that reach only each other come to the newest checkpoint that one of them has', async (t) => {
  const server = await serveLog(t, new SignedLog().growTo(100));
  const originKey = vkeyOf(server.log.keys.root);
  const ports = [await freePort(), await freePort(), await freePort()];
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const folders = [tempFolder(), tempFolder(), tempFolder()];
  const peersOf = (at: number) => [urls[(at + 1) % 3], urls[(at + 2) % 3]];
  const optionsOf = (at: number) => ({ port: ports[at], peers: peersOf(at), originKey });

  await Promise.all([1, 2].map((at) => startMirrorProcess(t, NOBODY, folders[at] as string, optionsOf(at))));
  // The first one has been to the origin, once with 100 entries and once with 700.
  for (const size of [100, 700]) {
    if (size > 100) server.log.growTo(size);
    const visitor = await startMirrorProcess(t, server.url, folders[0] as string, { originKey });
    await shows(visitor.url, await server.log.note());
    await visitor.kill();
    const first = await startMirrorProcess(t, NOBODY, folders[0] as string, optionsOf(0));
    for (const url of urls) await shows(url, await server.log.note());
    await first.kill();
  }
});

test('a mirror that was away while its peer moved on twice catches up with it alone', async (t) => {
  const server = await serveLog(t, new SignedLog().growTo(300));
  const originKey = vkeyOf(server.log.keys.log);
  const [ahead, behind] = [tempFolder(), tempFolder()];
  const first = await startMirrorProcess(t, server.url, ahead);
  const peers = [first.url];
  await shows(first.url, await server.log.note());
  const second = await startMirrorProcess(t, NOBODY, behind, { originKey, peers });
  await shows(second.url, await server.log.note());
  await second.kill();
  for (const size of [600, 900]) {
    server.log.growTo(size);
    await shows(first.url, await server.log.note());
  }
  const again = await startMirrorProcess(t, NOBODY, behind, { originKey, peers });
  await shows(again.url, await server.log.note());
});
