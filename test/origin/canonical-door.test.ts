import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeDoor } from '../../src/core/door.ts';
import { UsageError } from '../../src/core/errors.ts';
import { startUpstream } from '../support/upstream.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const HOST = 'registry.example';
const DOOR = `http://${HOST}`;
const NPM = 'npm/12.2.0 node/v26.10.0 linux x64 workspaces/false';
const YARN = 'yarn/1.22.22 npm/? node/v24.0.0 linux x64';

/** An origin whose upstream is called the public registry, with a canonical door besides the loopback ones. */
async function start(t: TestContext): Promise<WholeOrigin> {
  const upstream = await startUpstream(t, { signed: false, real: false });
  const config = { doors: [makeDoor('canonical', DOOR)] };
  const origin = await startWholeOrigin(t, { upstream, config, deps: { canonicalRegistry: `${upstream.url}/` } });
  origin.put('@scope/alpha');
  return origin;
}

const askAs = (origin: WholeOrigin, agent: string, path: string, more: Record<string, string> = {}) =>
  origin.ask(path, { headers: { host: HOST, 'user-agent': agent, ...more } });

const tarballOf = (body: Buffer): string => JSON.parse(body.toString()).versions['1.0.0'].dist.tarball;

test('npm is given the public tarball URLs and other clients those of the door, and caches are told', async (t) => {
  const origin = await start(t);
  const [npm, yarn] = [await askAs(origin, NPM, '/@scope/alpha'), await askAs(origin, YARN, '/@scope/alpha')];
  assert.equal(tarballOf(npm.body), `${origin.upstream.url}/@scope/alpha/-/alpha-1.0.0.tgz`);
  assert.equal(tarballOf(yarn.body), `${DOOR}/@scope/alpha/-/alpha-1.0.0.tgz`);
  for (const { headers } of [npm, yarn]) assert.equal(headers.vary, 'Accept, Accept-Encoding, User-Agent');
  assert.notEqual(npm.headers.etag, yarn.headers.etag);
  const same = await askAs(origin, NPM, '/@scope/alpha', { 'if-none-match': npm.headers.etag ?? '' });
  const other = await askAs(origin, YARN, '/@scope/alpha', { 'if-none-match': npm.headers.etag ?? '' });
  assert.deepEqual([same.status, same.headers.vary, other.status], [304, 'Accept, Accept-Encoding, User-Agent', 200]);
});

test("single versions follow the same rule; dist-tags are everybody's", async (t) => {
  const origin = await start(t);
  const version = async (agent: string) => askAs(origin, agent, '/@scope/alpha/1.0.0');
  const [npm, yarn] = [await version(NPM), await version(YARN)];
  const url = ({ body }: typeof npm) => JSON.parse(body.toString()).dist.tarball;
  assert.deepEqual(
    [url(npm), url(yarn)].map((tarball) => new URL(tarball).host),
    [new URL(origin.upstream.url).host, HOST],
  );
  assert.equal(npm.headers.vary, 'User-Agent');
  assert.notEqual(npm.headers.etag, yarn.headers.etag);
  assert.equal((await askAs(origin, NPM, '/-/package/@scope%2falpha/dist-tags')).headers.vary, undefined);
});

test('the other doors of the same origin know nothing of it', async (t) => {
  const origin = await start(t);
  const reply = await origin.ask('/@scope/alpha', { headers: { 'user-agent': NPM } });
  assert.equal(tarballOf(reply.body), `${origin.door}/@scope/alpha/-/alpha-1.0.0.tgz`);
  assert.equal(reply.headers.vary, 'Accept, Accept-Encoding');
});

test('tarballs are asked for at the door as ever, and clients that verify are sent to a mirror', async (t) => {
  const origin = await start(t);
  const mirror = await startHost(t, origin);
  const packument = JSON.parse((await askAs(origin, NPM, '/@scope/alpha')).body.toString());
  const { pathname } = new URL(packument.versions['1.0.0'].dist.tarball);
  assert.equal((await askAs(origin, YARN, pathname)).status, 200);
  const integrity = packument.versions['1.0.0'].dist.integrity;
  const sent = await askAs(origin, NPM, pathname, { 'pacote-integrity': integrity });
  assert.equal(sent.status, 302);
  assert.ok(sent.headers.location?.startsWith(`${mirror.url}/-/federation/blob/sha512/`));
});

test('an origin with a canonical door does not start on another upstream', async (t) => {
  const upstream = await startUpstream(t, { signed: false, real: false });
  const config = { doors: [makeDoor('canonical', DOOR)] };
  for (const canonicalRegistry of ['https://public.example/', null]) {
    const refused = startWholeOrigin(t, { upstream, config, deps: { canonicalRegistry } });
    await assert.rejects(
      refused,
      (error: unknown) => error instanceof UsageError && /can't be canonical/.test(`${error}`),
    );
  }
});
