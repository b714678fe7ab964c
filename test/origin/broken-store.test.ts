import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWholeOrigin } from '../support/whole-origin.ts';
import { writerThreads } from '../support/writer-threads.ts';

test('an origin that can write no more is ill, says so in its log once per database, and still serves', async (t) => {
  const breakStores = writerThreads(t);
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  assert.equal((await origin.ask('/alpha')).status, 200);
  assert.equal((await origin.ask('/-/healthz')).status, 200);
  await breakStores();
  const { status, body } = await origin.ask('/-/healthz');
  assert.equal(status, 503);
  assert.match(JSON.parse(body.toString()).error, /^\w+\.sqlite can't be written any more: .*; restart this server$/);
  assert.equal((await origin.ask('/alpha')).status, 200);
  await origin.close();
  assert.equal(origin.log.lines.filter(({ level }) => level === 'fatal').length, 2);
});

test('an origin that is stopped is not ill', async (t) => {
  const origin = await startWholeOrigin(t);
  await origin.close();
  assert.deepEqual(
    origin.log.lines.filter(({ level }) => level === 'fatal'),
    [],
  );
});
