import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { journalKinds } from '../../support/journal-kinds.ts';
import { madePackage, sriOf } from '../../support/made-package.ts';
import { type OriginCore, startOriginCore } from '../../support/origin-core.ts';

const NETWORK = '192.0.2.0/24';

/** Holds answers to this path back until `release`, to say `other` then, if given. `asked`: the first question is there. */
function hold({ server }: OriginCore, path: RegExp, other?: object) {
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  server.fault(path, async (body) => {
    asked.resolve();
    await released.promise;
    return other ? gzipSync(JSON.stringify(other)) : body;
  });
  return { asked: asked.promise, release: () => released.resolve() };
}

async function kinds({ metadata }: OriginCore): Promise<string[]> {
  return (await journalKinds(metadata)).filter((kind) => kind !== 'upstream-key');
}

async function rowOf(origin: OriginCore, version: string) {
  return (await origin.learner.packument('alpha', NETWORK)).view.rows.get(version);
}

test('a version that arrives after its whole package changes nothing', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  const held = hold(origin, /^\/alpha\/1\.0\.0$/);
  const version = origin.learner.version('alpha', '1.0.0', NETWORK);
  await held.asked;
  await origin.packument('alpha');
  held.release();
  assert.equal((await version).row.state, 'listed');
  const row = await rowOf(origin, '1.0.0');
  assert.deepEqual([row?.state, row?.time], ['listed', '2020-01-01T00:00:00.000Z']);
  assert.deepEqual(await kinds(origin), ['learned']);
});

test('a packument is judged by what was pinned while it was on its way', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  const dist = {
    integrity: sriOf(Buffer.from('other bytes')),
    tarball: `${origin.server.url}/alpha/-/alpha-1.0.0.tgz`,
  };
  const lie = madePackage('alpha', { '1.0.0': { dist }, '1.1.0': {} }).packument;
  const held = hold(origin, /^\/alpha$/, lie);
  const packument = origin.packument('alpha');
  await held.asked;
  const { row } = await origin.learner.version('alpha', '1.0.0', NETWORK);
  held.release();
  await packument;
  assert.equal((await rowOf(origin, '1.0.0'))?.pinned, row.pinned);
  const incidents = (await origin.incidents()).map(({ kind, subject }) => `${kind} ${subject}`);
  assert.deepEqual(incidents, ['pin-changed alpha@1.0.0']);
});

test('a version that nobody has does not publish a package a second time', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  const held = hold(origin, /^\/alpha\/9\.9\.9$/);
  const version = origin.learner.version('alpha', '9.9.9', NETWORK);
  await held.asked;
  await origin.packument('alpha');
  held.release();
  await assert.rejects(version, { code: 'not-found' });
  assert.deepEqual(await kinds(origin), ['learned']);
});
