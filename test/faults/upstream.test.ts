import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { sha256Hex } from '../../src/core/hash.ts';
import { lifetime } from '../support/lifetime.ts';
import { assertSound, storedFiles } from '../support/stored.ts';
import { until } from '../support/until.ts';
import type { Fault } from '../support/upstream-faults.ts';
import { newNetwork, pnpm } from '../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const BOUND_MS = 300_000;
const POSTPONED_MS = 5_000;
const DOWN = 'down';

type Trouble = readonly [how: string, fault: Fault | typeof DOWN, status: number];

const TROUBLES: readonly Trouble[] = [
  ['is away', DOWN, 502],
  ['fails', 'error', 502],
  ['is overloaded', 'unavailable', 502],
  ['stops half-way', 'truncated', 502],
  ['answers with a page', 'html', 502],
  ['sends damaged bytes', 'corrupt', 502],
  ['says nothing', 'silent', 504],
];

/** What is answered in place of a packument; the origin asks for gzip, and gets it. */
const inPlaceOf =
  (text: string | Buffer): Fault =>
  () =>
    gzipSync(text);

/** 1 GiB of spaces, as 1 MiB of gzip: members may follow each other (RFC 1952 section 2.2). */
const bomb = () => Buffer.concat(Array(1024).fill(gzipSync(Buffer.alloc(1024 * 1024, ' '))));

const BAD_PACKUMENTS: readonly Trouble[] = [
  ['sends a list', inPlaceOf('[]'), 502],
  ['sends nothing', inPlaceOf(''), 502],
  ['sends half of a document', inPlaceOf('{"versions":{'), 502],
  ['sends another package', inPlaceOf('{"name":"other","versions":{}}'), 502],
  ['sends no name', inPlaceOf('{"versions":{}}'), 502],
  ['sends a document that is too deep', inPlaceOf(`{"x":${'['.repeat(1e6)}${']'.repeat(1e6)}}`), 502],
  ['sends a member twice', inPlaceOf('{"versions":{},"versions":{}}'), 502],
  ['sends bytes that are no UTF-8', inPlaceOf(Buffer.from('{"x":"\xff\xfe"}', 'latin1')), 502],
  ['sends a gigabyte in a megabyte', bomb, 502],
];

const life = lifetime();
let origin: WholeOrigin;

/** Short enough to wait for, long enough for a busy machine to do what is no trouble. */
const TIMES = { packumentTimeoutMs: 1_500, packumentPatienceMs: 400, tarballPatienceMs: 400, tarballIdleMs: 1_000 };

before(async () => {
  origin = await startWholeOrigin(life, { times: TIMES });
});

let packages = 0;
/** A package that nobody asked for yet, and the paths that read it. */
function newPackage(versions: string[]): { name: string; paths: string[] } {
  packages++;
  const name = `package-${packages}`;
  origin.put(name, Object.fromEntries(versions.map((version) => [version, {}])));
  return { name, paths: [`/${name}`, `/${name}/latest`, `/-/package/${name}/dist-tags`, tarballOf(name)] };
}
const tarballOf = (name: string) => `/${name}/-/${name}-1.0.0.tgz`;
const isStale = ({ headers }: { headers: Record<string, unknown> }) => `${headers['cache-status']}`.includes('stale');
const versionsOf = async (from: WholeOrigin, name: string) =>
  Object.keys((await from.ask(`/${name}`)).json<{ versions: object }>().versions);

/** Runs `task` while the upstream has this trouble with everything whose path matches. */
async function during(fault: Fault | typeof DOWN, path: RegExp, task: () => Promise<void>): Promise<void> {
  if (fault === DOWN) await origin.upstream.down();
  else origin.upstream.fault(path, fault);
  try {
    await task();
  } finally {
    if (fault === DOWN) await origin.upstream.up();
    origin.upstream.mend();
  }
}

describe('what the origin does not know', () => {
  for (const [how, fault, status] of [...TROUBLES, ...BAD_PACKUMENTS]) {
    it(`is a ${status} in words, and no 404, when the upstream ${how}`, async () => {
      const { name, paths } = newPackage(['1.0.0']);
      await during(fault, new RegExp(name), async () => {
        const asked = fault === bomb ? paths.slice(0, 1) : paths;
        const replies = await Promise.all(asked.map((path) => origin.ask(path)));
        for (const reply of replies) {
          // How long a gigabyte takes is not what this is about.
          assert.ok(reply.status === status || (fault === bomb && reply.status === 504), `${reply.status}`);
          assert.match(reply.error, new RegExp(name));
          assert.equal(reply.headers['cache-control'], 'no-store');
        }
      });
      for (const path of paths) assert.equal((await origin.ask(path)).status, 200, path);
    });
  }

  it('is asked for once by many, and all are told', async (t) => {
    const other = await startWholeOrigin(t, { times: { packumentTimeoutMs: 1_500 } });
    other.upstream.fault(/./, 'silent');
    const replies = await Promise.all(Array.from({ length: 40 }, () => other.ask('/new', { from: newNetwork() })));
    for (const { status } of replies) assert.equal(status, 504);
    assert.equal(other.upstream.count(/^\/new$/), 1);
  });

  it('does not grow without end', async (t) => {
    const other = await startWholeOrigin(t, { times: { packumentTimeoutMs: 15_000 } });
    other.put('new', { '1.0.0': { readme: 'x'.repeat(1e6) } });
    other.upstream.fault(/^\/new$/, 'endless');
    const reply = await other.ask('/new');
    assert.equal(reply.status, 502);
    assert.match(reply.error, /larger than 134217728 bytes/);
  });
});

describe('what the origin knows', () => {
  for (const [how, fault] of [...TROUBLES, ...BAD_PACKUMENTS]) {
    it(`is served as it was, marked stale, when the upstream ${how}`, async () => {
      const { name, paths } = newPackage(['1.0.0', '1.1.0']);
      const known = await Promise.all(paths.map(async (path) => sha256Hex((await origin.ask(path)).body)));
      // News, or the answer is 304 and its body never looked at.
      origin.put(name, { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} });
      origin.pass(BOUND_MS);
      await during(fault, new RegExp(name), async () => {
        for (const [at, path] of paths.entries()) {
          const reply = await origin.ask(path);
          assert.deepEqual([reply.status, sha256Hex(reply.body), isStale(reply)], [200, known[at], true], path);
        }
      });
      await until('the news are there', async () => {
        origin.pass(POSTPONED_MS);
        return (await versionsOf(origin, name)).includes('1.2.0');
      });
    });
  }

  it('keeps only the first waiting for an upstream that is slow', async (t) => {
    const other = await startWholeOrigin(t, { times: { packumentTimeoutMs: 60_000, packumentPatienceMs: 500 } });
    other.put('known');
    await other.ask('/known');
    other.pass(BOUND_MS);
    other.upstream.fault(/^\/known$/, 'silent');
    const start = performance.now();
    for (let time = 0; time < 20; time++) assert.ok(isStale(await other.ask('/known')));
    assert.ok(performance.now() - start < 5_000, 'twenty times half a second');
    await other.upstream.down();
  });

  it('is asked for again after some seconds, not at once', async () => {
    const { name } = newPackage(['1.0.0']);
    await origin.ask(`/${name}`);
    const asked = () => origin.upstream.count(new RegExp(`^/${name}$`));
    origin.pass(BOUND_MS);
    await during('error', new RegExp(name), async () => {
      for (let time = 0; time < 5; time++) assert.ok(isStale(await origin.ask(`/${name}`)));
      assert.equal(asked(), 2);
      origin.pass(POSTPONED_MS);
      assert.ok(isStale(await origin.ask(`/${name}`)));
      assert.equal(asked(), 3);
    });
  });

  it('is withdrawn by no failure, however long it lasts', async () => {
    const { name, paths } = newPackage(['1.0.0']);
    for (const path of paths) await origin.ask(path);
    for (const fault of ['error', 'html', 'truncated'] as const) {
      await during(fault, new RegExp(name), async () => {
        for (let day = 0; day < 3; day++) {
          origin.pass(24 * 3_600_000);
          for (const path of paths) assert.equal((await origin.ask(path)).status, 200);
        }
      });
    }
  });

  it('is served while a slow answer is still on its way, which counts when it is there', async (t) => {
    const other = await startWholeOrigin(t, { times: { ...TIMES, packumentTimeoutMs: 60_000 } });
    other.put('known');
    await other.ask('/known');
    other.pass(BOUND_MS);
    const { promise: released, resolve: answer } = Promise.withResolvers<void>();
    other.upstream.fault(/^\/known$/, (body) => released.then(() => body));
    other.put('known', { '1.0.0': {}, '1.1.0': {} });
    assert.ok(isStale(await other.ask('/known')));
    answer();
    await until('the late answer is taken in', async () => (await versionsOf(other, 'known')).includes('1.1.0'));
    assert.equal(other.upstream.count(/^\/known$/), 2);
  });

  it('is still sent to mirrors while the upstream is away', async (t) => {
    const other = await startWholeOrigin(t);
    const mirror = await startHost(t, other);
    other.put('known');
    await other.ask(tarballOf('known'));
    other.pass(BOUND_MS);
    await other.upstream.down();
    const reply = await other.ask(tarballOf('known'), { headers: pnpm, from: newNetwork() });
    assert.equal(reply.status, 302);
    assert.ok(reply.headers.location?.startsWith(mirror.url));
  });
});

describe('a tarball that is not held', () => {
  const troubles: Trouble[] = [...TROUBLES, ['announces a terabyte', 'oversize', 502]];
  for (const [how, fault, status] of troubles) {
    it(`is a ${status} in words, and leaves nothing behind, when the upstream ${how}`, async () => {
      const { name } = newPackage(['1.0.0']);
      await origin.ask(`/${name}`);
      const before = await storedFiles(origin.data, /^cache\/tarballs/);
      await during(fault, /\.tgz$/, async () => {
        const reply = await origin.ask(tarballOf(name));
        assert.equal(reply.status, status);
        assert.match(reply.error, /-1\.0\.0\.tgz|wrong bytes/);
      });
      assert.deepEqual(await storedFiles(origin.data, /^cache\/tarballs/), before);
      assert.equal((await origin.ask(tarballOf(name))).status, 200);
    });
  }

  it('that the upstream has lost is its failure, not a 404', async () => {
    const { name } = newPackage(['1.0.0']);
    await origin.ask(`/${name}`);
    origin.upstream.packages.withdraw(name, '1.0.0');
    const reply = await origin.ask(tarballOf(name));
    assert.equal(reply.status, 502);
    assert.match(reply.error, new RegExp(`${name}@1\\.0\\.0: the upstream has no such tarball`));
  });

  it('has left everything else as it should be', () => assertSound(origin.data));
});
