import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

type Change = { seq: number; id: string; changes: { rev: string }[]; deleted?: true; doc?: Record<string, unknown> };
type Page = { results: Change[]; last_seq: number; pending: number };

const FRESHNESS_MS = 300_000;

async function learn(origin: WholeOrigin, name: string, ...versions: string[]): Promise<void> {
  origin.put(name, Object.fromEntries(versions.map((version) => [version, {}])));
  await look(origin, name, 200);
}

async function look(origin: WholeOrigin, name: string, status: number): Promise<void> {
  origin.pass(FRESHNESS_MS + 1);
  const reply = await origin.ask(`/${name.replace('/', '%2f')}`);
  assert.equal(reply.status, status, reply.body.toString());
}

async function page(origin: WholeOrigin, query = ''): Promise<Page> {
  const reply = await origin.ask(`/_changes?${query}`);
  assert.equal(reply.status, 200, reply.body.toString());
  return reply.json<Page>();
}

const names = ({ results }: Page): string[] => results.map(({ id }) => id);

/** An open feed, read line by line. */
async function openFeed(t: TestContext, origin: WholeOrigin, query: string) {
  const asking = request(`${origin.door}/_changes?${query}`, { agent: false }).end();
  t.after(() => asking.destroy());
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  const lines = createInterface(response)[Symbol.asyncIterator]();
  /** Null at the end. */
  const next = async (): Promise<string | null> => (await lines.next()).value ?? null;
  const rest = async (): Promise<string[]> => {
    const all: string[] = [];
    for (let line = await next(); line !== null; line = await next()) all.push(line);
    return all;
  };
  return { next, rest };
}

test('each package is told once, where it changed last', async (t) => {
  const origin = await startWholeOrigin(t);
  assert.deepEqual(await page(origin), { results: [], last_seq: 0, pending: 0 });
  for (const name of ['alpha', '@s/beta', 'gamma']) await learn(origin, name, '1.0.0');
  const tarball = await origin.ask('/gamma/-/gamma-1.0.0.tgz');
  assert.equal(tarball.status, 200);
  await origin.measured(tarball.body);
  await learn(origin, 'alpha', '1.0.0', '1.1.0');
  const all = await page(origin);
  assert.deepEqual(names(all), ['@s/beta', 'gamma', 'alpha']);
  assert.match(all.results[2]?.changes[0]?.rev ?? '', /^2-[0-9a-f]{32}$/);
  assert.equal(all.last_seq, all.results.at(-1)?.seq);

  const root = (await origin.ask('/')).json();
  assert.deepEqual([root.db_name, root.doc_count, root.update_seq], ['registry', 3, all.last_seq]);
  assert.equal(typeof root.instance_start_time, 'string');

  const walked: Change[] = [];
  for (let since = 0, pending = 1; pending > 0; ) {
    const { results, last_seq, pending: left } = await page(origin, `since=${since}&limit=1`);
    walked.push(...results);
    [since, pending] = [last_seq, left];
  }
  assert.deepEqual(walked, all.results);
  assert.deepEqual(names(await page(origin, 'descending=true&limit=2')), ['alpha', 'gamma']);
  assert.deepEqual(await page(origin, `since=${all.last_seq + 50}`), {
    results: [],
    last_seq: all.last_seq + 50,
    pending: 0,
  });
  const below = await origin.ask('/registry/_changes?since=0');
  assert.deepEqual(below.json(), all);
});

test('a withdrawn package is deleted, and one that comes back is not', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  await learn(origin, 'beta', '1.0.0');
  const before = await page(origin);
  origin.upstream.packages.withdraw('alpha');
  await look(origin, 'alpha', 451);
  const [change, ...more] = (await page(origin, `since=${before.last_seq}&include_docs=true`)).results;
  assert.deepEqual(more, []);
  assert.deepEqual([change?.id, change?.deleted], ['alpha', true]);
  const _rev = change?.changes[0]?.rev ?? '';
  assert.match(_rev, /^2-/);
  assert.deepEqual(change?.doc, { _id: 'alpha', _rev, _deleted: true });
  origin.upstream.packages.restore('alpha');
  await learn(origin, 'alpha', '1.0.0', '1.0.1');
  const back = (await page(origin, `since=${change?.seq}`)).results;
  assert.deepEqual(
    back.map(({ id, deleted }) => [id, deleted]),
    [['alpha', undefined]],
  );
  assert.deepEqual(names(await page(origin)), ['beta', 'alpha']);
});

test('documents are the packuments that the door shows', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0', '2.0.0');
  await learn(origin, '@s/beta', '1.0.0');
  for (const query of ['include_docs=true', 'include_docs=true&feed=longpoll']) {
    const { results } = await page(origin, query);
    for (const { id, doc, changes } of results) {
      const shown = (await origin.ask(`/${id.replace('/', '%2f')}`)).json();
      assert.deepEqual(doc, { ...shown, _id: id, _rev: changes[0]?.rev });
    }
    assert.equal(results.length, 2);
  }
});

test('a page is asked for again at no cost until something changes', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  const { etag = '' } = (await origin.ask('/_changes?since=0')).headers;
  const again = { headers: { 'if-none-match': etag } };
  assert.equal((await origin.ask('/_changes?since=0', again)).status, 304);
  assert.equal((await origin.ask('/_changes?since=0&limit=1', again)).status, 200);
  const head = await origin.ask('/_changes?since=0', { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.etag, head.body.length], [200, etag, 0]);
  await learn(origin, 'beta', '1.0.0');
  assert.equal((await origin.ask('/_changes?since=0', again)).status, 200);
});

test('a long poll waits for a change, or for its time to be over', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  assert.deepEqual(names(await page(origin, 'feed=longpoll')), ['alpha']);
  const { last_seq } = await page(origin);
  assert.deepEqual(await page(origin, 'feed=longpoll&since=now&timeout=1'), { results: [], last_seq, pending: 0 });
  const feed = await openFeed(t, origin, `feed=longpoll&since=${last_seq}&heartbeat=100`);
  const first = await feed.next();
  // What it sends while it waits must not spoil the document.
  assert.equal(await feed.next(), '');
  await learn(origin, 'beta', '1.0.0');
  assert.deepEqual(names(JSON.parse([first, ...(await feed.rest())].join('\n'))), ['beta']);
});

test('a continuous feed tells changes as they happen', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  const feed = await openFeed(t, origin, 'feed=continuous&heartbeat=100&limit=3');
  const next = async () => {
    let line = await feed.next();
    while (line === '') line = await feed.next();
    return JSON.parse(line ?? 'null');
  };
  assert.equal((await next()).id, 'alpha');
  assert.equal(await feed.next(), '', 'a heartbeat');
  await learn(origin, 'beta', '1.0.0');
  assert.equal((await next()).id, 'beta');
  await learn(origin, 'alpha', '1.0.0', '1.1.0');
  const { id, seq } = await next();
  assert.equal(id, 'alpha');
  assert.deepEqual(await next(), { last_seq: seq, pending: 0 });
  assert.equal(await next(), null);
});

test('a continuous feed without heartbeats ends in silence', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  const { last_seq } = await page(origin);
  const reply = await origin.ask('/_changes?feed=continuous&since=now&timeout=1');
  assert.equal(reply.body.toString(), `{"last_seq":${last_seq},"pending":0}\n`);
});

test('many changes at once arrive at a feed, each package at its last', async (t) => {
  const origin = await startWholeOrigin(t);
  const feed = await openFeed(t, origin, 'feed=continuous&since=0&heartbeat=60000');
  const wanted = Array.from({ length: 60 }, (_, at) => `package-${at}`);
  await Promise.all(
    wanted.map(async (name) => {
      origin.put(name);
      assert.equal((await origin.ask(`/${name}`)).status, 200);
    }),
  );
  const seen: Change[] = [];
  while (seen.length < wanted.length) seen.push(JSON.parse((await feed.next()) ?? 'null'));
  assert.deepEqual(seen.map(({ id }) => id).sort(), [...wanted].sort());
  assert.deepEqual(
    seen.map(({ seq }) => seq),
    seen.map(({ seq }) => seq).sort((a, b) => a - b),
  );
});

test('an origin that ends does not wait for its feeds', async (t) => {
  const origin = await startWholeOrigin(t);
  await learn(origin, 'alpha', '1.0.0');
  const feed = await openFeed(t, origin, 'feed=continuous&heartbeat=60000');
  assert.match((await feed.next()) ?? '', /"alpha"/);
  const poll = await openFeed(t, origin, 'feed=longpoll&since=now');
  const started = performance.now();
  await origin.close();
  assert.ok(performance.now() - started < 5_000, 'it waited for its feeds');
  // No last line: the follower comes back instead of taking this for the end.
  assert.deepEqual(await feed.rest(), []);
  assert.deepEqual(JSON.parse((await poll.rest()).join('\n')).results, []);
});

test('what can not be meant is refused in words', async (t) => {
  const origin = await startWholeOrigin(t);
  const bad = await origin.ask('/_changes?since=yesterday');
  assert.deepEqual([bad.status, /since="yesterday"/.test(bad.error)], [400, true]);
  const filtered = await origin.ask('/_changes?filter=_doc_ids', { method: 'POST', body: '{"doc_ids":["alpha"]}' });
  assert.deepEqual([filtered.status, filtered.headers.allow], [405, 'GET, HEAD, POST']);
  assert.match(filtered.error, /from the URL/);
  const huge = await origin.ask('/_changes', { method: 'POST', body: `{${' '.repeat(100_000)}}` });
  assert.equal(huge.status, 405);
  for (const body of ['', '{}']) {
    assert.equal((await origin.ask('/_changes?since=0', { method: 'POST', body })).status, 200);
  }
  assert.equal((await origin.ask('/_changes', { method: 'PUT', body: '{}' })).status, 400);
});
