import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ask } from '../../support/ask.ts';
import { reached } from '../../support/reached.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';
const FACTS = ['db_name', 'engine', 'doc_count', 'update_seq', 'instance_start_time'];

async function startDoor(t: TestContext, origin: WholeOrigin) {
  const mirror = await startTestMirror(t, origin.door, { door: DOOR });
  const atDoor = (target: string, headers = {}) =>
    ask(mirror.url, { target, headers: { host: 'packages.example', ...headers } });
  return { mirror, atDoor };
}

test('the root of a mirror’s door says what followers look for, and people get a page with the log', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  await origin.ask('/alpha');
  const { mirror, atDoor } = await startDoor(t, origin);
  const theirs = (await origin.ask('/')).json();
  const facts = Object.fromEntries(FACTS.map((fact) => [fact, theirs[fact]]));
  assert.deepEqual((await atDoor('/')).json(), { registry: `${DOOR}/`, software: 'open-registry', ...facts });
  assert.equal(typeof facts.update_seq, 'number');

  const [, size, root] = (await origin.ask('/-/federation/checkpoint')).body.toString().split('\n');
  await reached(mirror.follower, Number(size));
  const page = (await atDoor('/', { accept: 'text/html' })).body.toString();
  assert.ok(page.includes(`npm config set registry ${DOOR}/`));
  assert.ok(page.includes(`<dt>Entries</dt><dd>${size}</dd>`));
  assert.ok(page.includes(`<dt>Root hash</dt><dd><code>${root}</code></dd>`));

  await origin.close();
  assert.deepEqual((await atDoor('/')).json(), { registry: `${DOOR}/`, software: 'open-registry' });
  assert.equal((await atDoor('/', { accept: 'text/html' })).status, 200);
});

test('a feed of changes is passed on as it comes, and a page that is still good is not sent again', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  await origin.ask('/alpha');
  const { mirror, atDoor } = await startDoor(t, origin);
  const page = await atDoor('/_changes?since=0');
  assert.equal(page.body.toString(), (await origin.ask('/_changes?since=0')).body.toString());
  const again = await atDoor('/_changes?since=0', { 'if-none-match': page.headers.etag });
  assert.deepEqual([again.status, again.body.length], [304, 0]);

  const feed = await fetch(`${mirror.url}/_changes?since=0&feed=continuous`);
  const names = feed.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await names?.read())?.value ?? '', /"id":"alpha"/);
  origin.put('beta');
  await origin.ask('/beta');
  assert.match((await names?.read())?.value ?? '', /"id":"beta"/);
  await names?.cancel();
});
