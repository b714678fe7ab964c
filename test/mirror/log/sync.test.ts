import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { equal, toHex, utf8 } from '../../../src/core/bytes.ts';
import { openCheckpoint } from '../../../src/core/checkpoint.ts';
import {
  RollbackError,
  SplitViewError,
  StorageFullError,
  UnreadableEntryError,
  UpstreamError,
  WrongTileError,
} from '../../../src/core/errors.ts';
import { checkConsistency } from '../../../src/core/merkle.ts';
import { createHttpClient } from '../../../src/io/http-client.ts';
import { type HeldCheckpoint, type HeldLog, openHeldLog } from '../../../src/mirror/log/held-log.ts';
import { createLogSource } from '../../../src/mirror/log/log-source.ts';
import { syncTo } from '../../../src/mirror/log/sync.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { LOG_NAME, type LogServer, learned, SignedLog, serveLog, vkeyOf } from '../../support/signed-log.ts';

/** A follower without times of its own, over a real connection. */
async function startFollowing(t: TestContext, log = new SignedLog().growTo(3)) {
  const server = await serveLog(t, log);
  const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
  t.after(() => client.close());
  const metadata = new MemoryMetadataStore();
  let held = await openHeldLog(metadata);
  const sourceAt = ({ url }: Pick<LogServer, 'url'>, tileTimeoutMs = 5_000) =>
    createLogSource({ name: 'test', url, client, times: { noteTimeoutMs: 5_000, tileTimeoutMs }, signal: t.signal });
  const opened = (note: string): HeldCheckpoint => ({
    note,
    checkpoint: openCheckpoint(note, [vkeyOf(log.keys.log)], LOG_NAME).checkpoint,
  });
  return {
    server,
    metadata,
    sourceAt,
    held: () => held,
    restart: async () => {
      held = await openHeldLog(metadata);
    },
    /** Follows to what a server shows. */
    sync: async (from: LogServer = server, source = sourceAt(from), stepTimeoutMs = 60_000) =>
      syncTo(opened(await source.checkpoint()), source, {
        ...{ log: held, check: () => undefined, signal: t.signal, stepBundles: 2, stepTimeoutMs },
      }),
  };
}

/** What is served is this log, whole: entries, root, fold and the note. */
async function assertServes(held: HeldLog, metadata: MemoryMetadataStore, log: SignedLog): Promise<void> {
  assert.equal(held.served()?.note, await log.note());
  assert.deepEqual((await metadata.entries(0, log.size + 1)).map(toHex), log.entries.map(toHex));
  const head = await metadata.head();
  assert.ok(head.size === log.size && equal(head.root, log.head().root));
  assert.equal(await metadata.folded(), log.size);
}

describe('following a log', () => {
  it('takes in what is new, step by step, and serves the checkpoint at the end', async (t) => {
    const { server, metadata, held, sync } = await startFollowing(t);
    for (const size of [3, 4, 255, 256, 257, 700, 2_000]) {
      if (size > 3) server.log.growTo(size);
      assert.equal(await sync(), true);
      await assertServes(held(), metadata, server.log);
    }
    assert.equal(await sync(), false);
  });

  it('follows a log without entries', async (t) => {
    const { server, held, sync } = await startFollowing(t, new SignedLog());
    assert.equal(await sync(), true);
    assert.equal(held().served()?.checkpoint.size, 0);
    server.log.add(learned('alpha'));
    assert.equal(await sync(), true);
  });

  it('asks for full bundles with their level 1 tile, never for the level 0 tiles below it', async (t) => {
    const { server, sync } = await startFollowing(t, new SignedLog().growTo(2_000));
    await sync();
    const paths = server.asked.map((line) => line.replace('GET /-/federation/', ''));
    assert.deepEqual(
      paths.filter((path) => path.startsWith('tile/0/')),
      ['tile/0/007.p/208'],
    );
    assert.equal(paths.filter((path) => path === 'tile/1/000.p/7').length, 1);
    assert.equal(paths.filter((path) => path.startsWith('tile/entries/')).length, 8);
    assert.deepEqual([...new Set(server.headers.map((sent) => sent['accept-encoding']))], ['gzip, identity']);
  });

  it('reads nothing again that it holds', async (t) => {
    const { server, sync, restart } = await startFollowing(t, new SignedLog().growTo(600));
    await sync();
    await restart();
    server.asked.splice(0);
    server.log.growTo(700);
    await sync();
    const entries = server.asked.filter((line) => line.includes('/tile/entries/'));
    assert.deepEqual(entries, ['GET /-/federation/tile/entries/002.p/188']);
  });

  it('goes on where a source broke off, with another one, and does not read again what it took in', async (t) => {
    const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(1_500));
    const other = await serveLog(t, server.log);
    server.lie(/^tile\/entries\/004/, (honest) => ({ ...honest, status: 500 }));
    await assert.rejects(sync(), UpstreamError);
    assert.equal(held().served(), null, 'the checkpoint comes last');
    assert.equal(held().head().size, 4 * 256);
    assert.equal(await sync(other), true);
    await assertServes(held(), metadata, server.log);
    assert.ok(!other.asked.some((line) => /entries\/00[0-3]/.test(line)));
  });

  it('takes a full tile where the partial one is gone', async (t) => {
    const { server, held, sync } = await startFollowing(t, new SignedLog().growTo(300));
    const note = await server.log.note();
    server.shown = note;
    server.log.growTo(600);
    server.lie(/\.p\//, () => ({ status: 404, headers: {}, body: utf8('') }));
    server.lie(/^tile\/1\//, (honest) => honest);
    assert.equal(await sync(), true);
    assert.equal(held().served()?.note, note);
  });
});

describe('what a source can’t do to a follower', () => {
  const flipped = (bytes: Uint8Array): Uint8Array => bytes.with(bytes.length - 1, (bytes.at(-1) as number) ^ 1);

  for (const [what, path] of [
    ['a wrong hash in a tile of the right edge', /^tile\/0\//],
    ['a wrong hash in a tile of level 1', /^tile\/1\//],
    ['a wrong entry in a full bundle', /^tile\/entries\/001$/],
    ['a wrong entry in the last bundle', /^tile\/entries\/002/],
  ] as const) {
    it(`make it take in ${what}`, async (t) => {
      const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(700));
      server.lie(path, ({ body, headers: { 'content-encoding': _, ...headers } }, { url = '' }) => {
        const found = url.includes('entries')
          ? server.log.bundle(url.includes('001') ? { index: 1, width: 256 } : { index: 2, width: 188 })
          : body;
        return { status: 200, headers, body: flipped(found as Uint8Array) };
      });
      await assert.rejects(sync(), WrongTileError);
      assert.equal(held().served(), null);
      const taken = await metadata.entries(0, server.log.size);
      assert.deepEqual(taken, server.log.entries.slice(0, taken.length));
      assert.ok(taken.length <= 512);
      server.beHonest();
      assert.equal(await sync(), true);
      await assertServes(held(), metadata, server.log);
    });
  }

  it('leave out an entry, or put two in another order', async (t) => {
    const { server, metadata, sync } = await startFollowing(t, new SignedLog().growTo(300));
    const { entries } = server.log;
    const forged = [
      entries.toSpliced(10, 1),
      entries.toSpliced(10, 2, entries[11] as Uint8Array, entries[10] as Uint8Array),
    ];
    for (const other of forged) {
      const lying = new SignedLog(server.log.keys, other);
      server.lie(/^tile\/entries\/000/, () => ({
        status: 200,
        headers: {},
        body: lying.bundle({ index: 0, width: 256 }),
      }));
      await assert.rejects(sync(), WrongTileError);
    }
    assert.equal(await metadata.size(), 0);
  });

  it('send without end, or a bomb', async (t) => {
    const { gzipSync } = await import('node:zlib');
    const { server, metadata, sync } = await startFollowing(t, new SignedLog().growTo(300));
    const zeros = async function* () {
      for (;;) yield new Uint8Array(65_536);
    };
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));
    for (const path of [/^tile\/entries/, /^tile\/0/, /^checkpoint/]) {
      server.lie(path, () => ({ status: 200, headers: {}, body: zeros() }));
      await assert.rejects(sync(), UpstreamError, `${path} without end`);
      server.lie(path, () => ({ status: 200, headers: { 'content-encoding': 'gzip' }, body: bomb }));
      await assert.rejects(sync(), UpstreamError, `${path} as a bomb`);
      server.beHonest();
    }
    assert.equal(await metadata.size(), 0);
  });

  it('keep it waiting longer than a tile may take', async (t) => {
    const { server, sourceAt, sync } = await startFollowing(t, new SignedLog().growTo(300));
    server.lie(/^tile\/entries/, () => null);
    await assert.rejects(sync(server, sourceAt(server, 50)), /no answer within its time/);
  });

  it('hold up the others by giving a little now and then', async (t) => {
    const { server, metadata, sourceAt, sync } = await startFollowing(t, new SignedLog().growTo(1_500));
    let given = 0;
    server.lie(/^tile\/entries\/00[2-5]/, (honest) => (given++ < 1 ? honest : null));
    await assert.rejects(sync(server, sourceAt(server), 200), /took more than 200 ms for one step/);
    assert.equal(await metadata.size(), 512, 'what was given in time is kept');
  });

  it('take it back to an older checkpoint', async (t) => {
    const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(300));
    const older = await server.log.note();
    server.log.growTo(400);
    await sync();
    server.shown = older;
    await assert.rejects(sync(), (error: unknown) => {
      return error instanceof RollbackError && error.held === 400 && error.offered === 300;
    });
    await assertServes(held(), metadata, server.log);
  });
});

describe('an origin that signs two histories', () => {
  for (const [what, ours, theirs] of [
    ['of one size', 400, 400],
    ['with a longer one', 400, 500],
    ['with a shorter one', 400, 350],
  ] as const) {
    it(`${what} is caught with both notes, and nothing of the other one is taken in`, async (t) => {
      const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(300));
      const other = await serveLog(t, server.log.fork(300).add(learned('evil')).growTo(theirs));
      server.log.growTo(ours);
      await sync();
      const caught = await sync(other).catch((error) => error);
      assert.ok(caught instanceof SplitViewError);
      assert.deepEqual(caught.notes, [await server.log.note(), await other.log.note()]);
      const [small, large] = ours < theirs ? [server.log, other.log] : [other.log, server.log];
      if (small.size < large.size) {
        const honest = large.head(small.size);
        checkConsistency(caught.proof, honest, large.head());
        assert.ok(!equal(honest.root, small.head().root), 'the proof leads to another root than the note says');
      }
      await assertServes(held(), metadata, server.log);
      server.log.growTo(600);
      assert.equal(await sync(), true, 'the history that is held is followed on');
    });
  }

  it('is caught also by the log of a checkpoint that was never reached', async (t) => {
    const { server, held, sync } = await startFollowing(t, new SignedLog().growTo(1_500));
    server.lie(/^tile\/entries\/004/, (honest) => ({ ...honest, status: 500 }));
    await assert.rejects(sync(), UpstreamError);
    const other = await serveLog(t, server.log.fork(100).add(learned('evil')).growTo(1_400));
    const caught = await sync(other).catch((error) => error);
    assert.ok(caught instanceof SplitViewError);
    assert.deepEqual(caught.notes, [await server.log.note(), await other.log.note()]);
    assert.equal(held().served(), null);
  });
});

describe('a disk that fails', () => {
  it('while what was appended is folded: nothing is served before the tables are as far', async (t) => {
    const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(300));
    metadata.failNext('fold', new StorageFullError('no room'));
    await assert.rejects(sync(), StorageFullError);
    assert.equal(held().head().size, 300);
    metadata.failNext('fold', new StorageFullError('no room'));
    await assert.rejects(sync(), StorageFullError);
    assert.equal(held().served(), null);
    assert.equal(await sync(), true);
    await assertServes(held(), metadata, server.log);
  });

  for (const size of [300, 2_000]) {
    it(`behind ${size} entries that were appended: following goes on from what is there`, async (t) => {
      const { server, metadata, held, sync } = await startFollowing(t, new SignedLog().growTo(size));
      metadata.failNext('append', new StorageFullError('no room'), { persist: true });
      await assert.rejects(sync(), StorageFullError);
      assert.equal(held().served(), null);
      assert.equal(await sync(), true);
      await assertServes(held(), metadata, server.log);
    });
  }
});

describe('an entry that can’t be taken in', () => {
  it('stops the log in front of it, clearly, until there is a version that can', async (t) => {
    const { server, metadata, held, sync } = await startFollowing(t);
    await sync();
    const before = await server.log.note();
    server.log.addRaw(utf8('commit/7\ntime 1750000009000\n'));
    await assert.rejects(sync(), (error: unknown) => {
      return error instanceof UnreadableEntryError && error.index === 3 && /upgrade this mirror/.test(error.message);
    });
    assert.equal(held().served()?.note, before);
    assert.equal(await metadata.size(), 3);
  });

  it('is a checkpoint without a commit at its end, too', async (t) => {
    const { server, held, sync } = await startFollowing(t, new SignedLog().add(learned('alpha'), learned('beta')));
    server.shown = await server.log.note(2);
    await assert.rejects(sync(), UnreadableEntryError);
    assert.equal(held().served(), null);
    server.shown = null;
    assert.equal(await sync(), true);
    server.shown = await server.log.note(2);
    await assert.rejects(sync(), RollbackError);
  });

  it('is one that is dated before the one in front of it', async (t) => {
    const { server, sync } = await startFollowing(t);
    server.log.time -= 100_000;
    server.log.add(learned('alpha'));
    await assert.rejects(sync(), /dated .* before the one in front of it/);
  });
});
