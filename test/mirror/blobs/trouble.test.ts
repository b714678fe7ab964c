// A mirror in trouble: whatever it lacks, a client that was sent to it gets its tarball, from it or from its door.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { it, type TestContext } from 'node:test';
import { sha512Hex } from '../../../src/core/hash.ts';
import { CHUNK_BYTES } from '../../../src/core/limits.ts';
import { blobPath } from '../../../src/io/blob-path.ts';
import { startBlobSource } from '../../support/blob-source.ts';
import { type HostsOrigin, startHostsOrigin } from '../../support/hosts-origin.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { markedUrl, randomBlob, startMember } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';

const SIZE = 40 * CHUNK_BYTES + 9;
const npm = { 'user-agent': 'npm/10.9.0 node/v22.0.0 linux x64 workspaces/false' };
const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());
const url = (origin: HostsOrigin, mirror: { url: string; hostId: string }, sha512: string) =>
  markedUrl(origin, mirror, sha512);

/** A peer in a process of its own that stops in the middle of this blob. */
async function startHalfSource(t: TestContext, bytes: Uint8Array) {
  const script = join(import.meta.dirname, '../../support/half-source-process.ts');
  const file = join(tempFolder(), 'blob');
  writeFileSync(file, bytes);
  const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { url: line.split(' ')[1] ?? '', kill: () => child.kill('SIGKILL') };
}

it('a source killed in the middle of a body: the next one goes on, and the client does not notice', async (t) => {
  const origin = await startHostsOrigin(t);
  const bytes = randomBlob(SIZE);
  const peer = await startHalfSource(t, bytes);
  const mirror = await startMember(t, origin, { peers: [peer.url] });
  const sha512 = await origin.addMeasured(bytes);
  const reader = (await fetch(url(origin, mirror, sha512))).body?.getReader();
  const parts: Uint8Array[] = [];
  for (let got = 0; got < 19 * CHUNK_BYTES; got += parts.at(-1)?.length ?? 0) {
    parts.push((await reader?.read())?.value ?? assert.fail('the body ended'));
  }
  assert.ok(!origin.asked.some((line) => line.includes(`/blob/sha512/${sha512}`)));
  peer.kill();
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) parts.push(next.value);
  assert.deepEqual(new Uint8Array(Buffer.concat(parts)), bytes);
});

it('a client that has got a part gets the rest while the mirror stops; one that waits is sent back', async (t) => {
  const origin = await startHostsOrigin(t);
  const peer = await startBlobSource(t);
  const mirror = await startMember(t, origin, { peers: [peer.url] });
  const [bytes, other] = [randomBlob(SIZE), randomBlob(100)];
  const [sha512, waiting] = [await origin.addMeasured(bytes), origin.addTarball(other)];
  peer.add(bytes);
  const pause = peer.pauseAt(10 * CHUNK_BYTES);
  const reading = await fetch(url(origin, mirror, sha512));
  const release = origin.holdBlobs();
  const hanging = fetch(url(origin, mirror, waiting), { redirect: 'manual' });
  await until('the second is asked for', () => origin.asked.some((line) => line.includes(waiting)));
  const closed = mirror.close();
  assert.equal((await hanging).status, 302);
  release();
  await pause.reached;
  pause.goOn();
  assert.deepEqual(await bytesOf(reading), bytes);
  await closed;
});

it('rot half-way in a stored blob: the rest comes from the origin, chunk by chunk', async (t) => {
  const origin = await startHostsOrigin(t);
  const mirror = await startMember(t, origin);
  const bytes = randomBlob(SIZE);
  const sha512 = await origin.addMeasured(bytes);
  await bytesOf(await fetch(url(origin, mirror, sha512)));
  const file = blobPath(join(mirror.data, 'blobs'), { algorithm: 'sha512', hex: sha512 });
  const stored = readFileSync(file);
  stored[SIZE - 5] = (stored[SIZE - 5] as number) ^ 1;
  writeFileSync(file, stored);
  assert.deepEqual(await bytesOf(await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`)), bytes);
  assert.match(await (await fetch(`${mirror.url}/-/metrics`)).text(), /rotten_blobs_total{role="mirror"} 1/);
});

it('rot that is found by reading through is fetched again at once', async (t) => {
  const origin = await startHostsOrigin(t);
  const data = tempFolder();
  const before = await startMember(t, origin, { data });
  const bytes = randomBlob(SIZE);
  const sha512 = await origin.addMeasured(bytes);
  await bytesOf(await fetch(url(origin, before, sha512)));
  await before.close();
  const file = blobPath(join(data, 'blobs'), { algorithm: 'sha512', hex: sha512 });
  writeFileSync(file, Uint8Array.from(bytes).fill(0, 7, 9));
  const mirror = await startMember(
    t,
    origin,
    { data },
    { scrubRate: { firstMs: 0, passMs: 1e9, bytesPerSecond: 1e9 } },
  );
  await mirror.log.until(({ msg }) => /damaged; it was put aside/.test(msg));
  await until('it is there again', async () => {
    const again = await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`);
    return again.ok && sha512Hex(await bytesOf(again)) === sha512;
  });
});

it('a full disk: sent back before the first byte, and brought to the end behind it', async (t) => {
  const disk = await mountSmallDisk(t, 8);
  if (typeof disk === 'string') return t.skip(`no small disk can be mounted here: ${disk}`);
  const origin = await startHostsOrigin(t);
  const mirror = await startMember(t, origin, { data: disk.folder });
  const held = randomBlob(10_000);
  const kept = origin.addTarball(held);
  await bytesOf(await fetch(url(origin, mirror, kept)));

  const large = randomBlob(9_000_000);
  const sha512 = await origin.addMeasured(large);
  assert.deepEqual(await bytesOf(await fetch(url(origin, mirror, sha512), { headers: npm })), large);
  await mirror.log.until(({ msg }) => /no room for a blob/.test(msg));
  const [unmeasured, unmeasuredBytes] = [origin.addTarball(large.subarray(1)), large.subarray(1)];
  const filled = await bytesOf(await fetch(url(origin, mirror, unmeasured), { headers: npm }));
  assert.equal(filled.length, unmeasuredBytes.length);
  assert.notEqual(sha512Hex(filled), unmeasured);

  await disk.fill();
  const missing = origin.addTarball(randomBlob(20_000));
  const answer = await fetch(url(origin, mirror, missing), { redirect: 'manual' });
  assert.equal(answer.status, 302);
  assert.match(answer.headers.get('location') ?? '', /direct=/);
  assert.deepEqual(await bytesOf(await fetch(`${mirror.url}/-/federation/blob/sha512/${kept}`)), held);
  await mirror.close();
});
