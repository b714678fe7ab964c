import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { assertSound } from '../support/stored.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const ABBREVIATED = { headers: { accept: 'application/vnd.npm.install-v1+json' } };

type Choice = (blob: string) => boolean;

/** Spoils the last byte of blobs of an origin that is down, and drops the forms that were made of them. */
async function spoil({ data }: WholeOrigin, choice: Choice): Promise<void> {
  const database = new DatabaseSync(join(data, 'blobs.sqlite'));
  const rows = database.prepare('SELECT n, bytes FROM blobs').all() as { n: number; bytes: Uint8Array }[];
  const chosen = rows.filter(({ bytes }) => choice(Buffer.from(bytes).toString()));
  assert.ok(chosen.length > 0);
  for (const { n, bytes } of chosen) {
    bytes[bytes.length - 1] = 0;
    database.prepare('UPDATE blobs SET bytes = ? WHERE n = ?').run(bytes, n);
  }
  database.close();
  await rm(join(data, 'cache', 'forms'), { recursive: true });
}

/** An origin some of whose blobs have rotted while it was down. */
async function withRot(t: TestContext, choice: Choice): Promise<WholeOrigin> {
  const before = await startWholeOrigin(t);
  before.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  assert.equal((await before.ask('/alpha')).status, 200);
  await before.close();
  await spoil(before, choice);
  return startWholeOrigin(t, { config: { data: before.data }, upstream: before.upstream });
}

const CHOICES: Record<string, Choice> = {
  manifests: (blob) => blob.includes('"version":"1.0.0"'),
  'the head': (blob) => blob.startsWith('head/1\n'),
  'the page': (blob) => blob.startsWith('1.0.0 '),
  'the tags': (blob) => blob === '{"latest":"1.1.0"}',
  'the times': (blob) => blob.includes('"2020-01-01T00:00:00.000Z"'),
  everything: () => true,
};
for (const [what, choice] of Object.entries(CHOICES)) {
  test(`a package heals of rot in ${what}, and its head stands`, async (t) => {
    const origin = await withRot(t, choice);
    const head = (await origin.ask('/alpha')).headers['open-registry-head'];
    for (const path of ['/alpha', '/alpha/1.0.0']) assert.equal((await origin.ask(path)).status, 200);
    assert.equal((await origin.ask('/alpha', ABBREVIATED)).status, 200);
    await assertSound(origin.data);
    origin.pass(400_000);
    assert.equal((await origin.ask('/alpha')).headers['open-registry-head'], head);
  });
}

test('rot is the fault of nobody who asks, and heals when the upstream is back', async (t) => {
  const origin = await withRot(t, CHOICES.manifests as Choice);
  await origin.upstream.down();
  for (const _ of [1, 2]) {
    const reply = await origin.ask('/alpha');
    assert.equal(reply.status, 502);
    assert.match(reply.error, /alpha: a part of it is lost here and could not be had again/);
  }
  await origin.upstream.up();
  origin.pass(10_000);
  assert.equal((await origin.ask('/alpha')).status, 200);
  await assertSound(origin.data);
});
