import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha512Hex } from '../../src/core/hash.ts';
import { openMirrorStores } from '../../src/io/stores.ts';
import { startHostsOrigin } from '../support/hosts-origin.ts';
import { startMirrorProcess } from '../support/spawn-mirror.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { markedUrl, randomBlob } from '../support/test-mirror.ts';

test('a mirror killed in the middle of fetching leaves no part of a blob, and goes on at its next start', async (t) => {
  const origin = await startHostsOrigin(t);
  const data = tempFolder();
  const first = await startMirrorProcess(t, origin.url, data);
  await origin.log.until(({ host, standing }) => host === first.hostId && standing === 'pending');
  await origin.hosts.approve(first.hostId);
  await origin.log.until(({ host, msg }) => host === first.hostId && /is healthy/.test(msg));

  const bytes = randomBlob(2_000_000);
  const sha512 = origin.addTarball(bytes);
  const halfway = origin.stopHalfway();
  const asked = fetch(markedUrl(origin, first, sha512)).catch(() => 'cut');
  await halfway.reached;
  await first.kill();
  assert.equal(await asked, 'cut');
  halfway.goOn();

  const names = await readdir(join(data, 'blobs'), { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  assert.deepEqual(
    files.filter((file) => !file.includes('/tmp/')),
    [],
  );
  const second = await startMirrorProcess(t, origin.url, data);
  assert.equal(second.hostId, first.hostId);
  assert.equal((await fetch(`${second.url}/-/federation/blob/sha512/${sha512}`)).status, 404);
  const answer = await fetch(markedUrl(origin, second, sha512));
  assert.equal(sha512Hex(new Uint8Array(await answer.arrayBuffer())), sha512);
  await second.kill();
  const stores = await openMirrorStores(data);
  assert.deepEqual(await stores.blobs.read({ algorithm: 'sha512', hex: sha512 }), bytes);
  await stores.close();
});
