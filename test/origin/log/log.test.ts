import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCheckpoint } from '../../../src/core/checkpoint.ts';
import { formatEntry, parseEntry } from '../../../src/core/entry.ts';
import { ConflictError, StorageFullError } from '../../../src/core/errors.ts';
import { openSqliteMetadataStore } from '../../../src/io/sqlite-metadata-store.ts';
import type { Clock, Published } from '../../../src/origin/log/log.ts';
import { journalKinds } from '../../support/journal-kinds.ts';
import { madePackage } from '../../support/made-package.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { FRESHNESS_MS, startOriginCore } from '../../support/origin-core.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { assertGrown, LOG_NAME, LOG_VKEY, numbered, openTestLog, verified } from '../../support/test-log.ts';

const full = () => new StorageFullError('the disk is full');
const shown = (log: { checkpoint(): Published | null }): Published => {
  const published = log.checkpoint();
  assert.ok(published);
  return published;
};

test('a first start publishes a checkpoint at once: of a commit and nothing else', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  assert.deepEqual((await verified(shown(log), metadata)).size, 1);
  assert.equal(log.size(), 1);
  assert.equal(await metadata.folded(), 1);
});

test('a start after that adds nothing and signs the same note again', async () => {
  const metadata = new MemoryMetadataStore();
  const first = await openTestLog(metadata);
  await first.append([numbered(1)]);
  const second = await openTestLog(metadata);
  assert.deepEqual(second.checkpoint(), first.checkpoint());
  assert.equal(await metadata.size(), 3);
});

test('what is appended is covered by a verifiable checkpoint, and shown to those who listen', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata, { now: () => 1_767_225_600_000 });
  const seen: Published[] = [];
  const stop = log.subscribe((published) => seen.push(published));
  await log.append([numbered(1), numbered(2)]);
  stop();
  await log.append([numbered(3)]);
  assert.deepEqual(
    seen.map(({ checkpoint }) => checkpoint.size),
    [4],
  );
  assert.equal((await verified(seen[0] as Published, metadata)).size, 4);
  assert.equal((await verified(shown(log), metadata)).size, 6);
  const times = (await metadata.entries(1, 10)).map((bytes) => parseEntry(bytes).time);
  assert.deepEqual(new Set(times), new Set([1_767_225_600_000]));
});

test('nothing at all is not appended', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  await log.append([]);
  assert.equal(await metadata.size(), 1);
});

test('the time of entries never goes back, whatever the clock does', async () => {
  const metadata = new MemoryMetadataStore();
  let now = 100;
  const log = await openTestLog(metadata, { now: () => now });
  now = 50;
  await log.append([numbered(1)]);
  const again = await openTestLog(metadata, { now: () => 20 });
  await again.append([numbered(2)]);
  const times = (await metadata.entries(0, 10)).map((bytes) => parseEntry(bytes).time);
  assert.deepEqual(times, [100, 100, 100, 100, 100]);
});

/** A clock that stands until a sleeper is let go. */
function heldClock() {
  let ms = 0;
  const sleeps: { ms: number; wake: () => void }[] = [];
  const asleep: (() => void)[] = [];
  const clock: Clock = {
    now: () => ms,
    sleep: (forMs) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = () => {
        ms += forMs;
        resolve();
      };
      sleeps.push({ ms: forMs, wake });
      for (const resolve of asleep.splice(0)) resolve();
      return promise;
    },
  };
  const untilAsleep = () =>
    sleeps.length > 0 ? Promise.resolve() : new Promise<void>((resolve) => asleep.push(resolve));
  const pass = (byMs: number) => {
    ms += byMs;
  };
  return { clock, sleeps, untilAsleep, pass };
}

/** A log whose checkpoints' sizes are noted, on a clock that is held. */
async function pacedLog(checkpointBurst: number) {
  const held = heldClock();
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata, { clock: held.clock, checkpointIntervalMs: 200, checkpointBurst });
  const sizes: number[] = [];
  log.subscribe(({ checkpoint }) => sizes.push(checkpoint.size));
  return { ...held, log, metadata, sizes };
}

test('an idle log appends at once, however often; what comes in the same moment makes one checkpoint', async () => {
  const { log, sizes, sleeps } = await pacedLog(1);
  for (let at = 0; at < 5; at++) await log.append([numbered(at)]);
  await Promise.all([log.append([numbered(5)]), log.append([numbered(6)])]);
  assert.deepEqual([sizes, sleeps.length], [[3, 5, 7, 9, 11, 14], 0]);
});

test('under load what comes while a batch is written waits, and makes one checkpoint together', async () => {
  const { log, metadata, sizes, sleeps, untilAsleep, pass } = await pacedLog(1);
  const first = log.append([numbered(0)]);
  await null;
  await null;
  const waiting = Array.from({ length: 5 }, (_, at) => log.append([numbered(at + 1)]));
  pass(50);
  await first;
  await untilAsleep();
  waiting.push(...Array.from({ length: 5 }, (_, at) => log.append([numbered(at + 6)])));
  assert.deepEqual(
    sleeps.map(({ ms }) => ms),
    [200],
  );
  assert.deepEqual(sizes, [3]);
  sleeps.shift()?.wake();
  await Promise.all(waiting);
  assert.deepEqual(sizes, [3, 14]);
  assert.deepEqual((await journalKinds(metadata)).length, 11);
});

test('while there were few checkpoints lately, the next batch does not wait either', async () => {
  const { log, sizes, sleeps } = await pacedLog(2);
  const first = log.append([numbered(0)]);
  await null;
  await null;
  await Promise.all([first, log.append([numbered(1)])]);
  assert.deepEqual([sizes, sleeps.length], [[3, 5], 0]);
});

test('what nobody waits for goes with the next batch', async () => {
  const { log, sizes, sleeps } = await pacedLog(1);
  const patient = [log.append([numbered(0)], 'soon'), log.append([numbered(1)], 'soon')];
  await log.append([numbered(2)]);
  await Promise.all(patient);
  assert.deepEqual([sizes, sleeps.map(({ ms }) => ms)], [[5], [200]]);
  sleeps.shift()?.wake();
  await log.append([numbered(3)]);
  assert.deepEqual(sizes, [5, 7], 'the end of the wait makes no batch of nothing');
});

test('what nobody waits for is in a checkpoint of its own after a while, or when the log is to be idle', async () => {
  const { log, sizes, sleeps, untilAsleep } = await pacedLog(1);
  const first = log.append([numbered(0)], 'soon');
  await untilAsleep();
  assert.deepEqual(sizes, []);
  sleeps.shift()?.wake();
  await first;
  const second = log.append([numbered(1)], 'soon');
  await log.idle();
  await second;
  assert.deepEqual(sizes, [3, 5]);
});

test('what is appended while a batch is being written goes into the next one', async () => {
  const metadata = new MemoryMetadataStore();
  const appended: Promise<void>[] = [];
  const log = await openTestLog(metadata, {
    step: (name) => {
      if (name === 'log:signed' && appended.length === 1) appended.push(log.append([numbered(2)]));
    },
  });
  const sizes: number[] = [];
  log.subscribe(({ checkpoint }) => sizes.push(checkpoint.size));
  appended.push(log.append([numbered(1)]));
  await log.idle();
  assert.equal(appended.length, 2);
  await Promise.all(appended);
  assert.deepEqual(sizes, [3, 5]);
});

test('every checkpoint extends the one before it, also of many appended at once', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  const published = [shown(log)];
  log.subscribe((one) => published.push(one));
  const writer = async (number: number) => {
    for (let round = 0; round < 8; round++) {
      await log.append(Array.from({ length: 1 + ((number * round) % 41) }, (_, at) => numbered(at)));
    }
  };
  await Promise.all([1, 2, 3, 4, 5].map(writer));
  assert.ok(published.length > 3, `${published.length} checkpoints`);
  const heads = await Promise.all(published.map((one) => verified(one, metadata)));
  for (const [at, head] of heads.slice(1).entries()) await assertGrown(metadata, heads[at] as typeof head, head);
});

test('entries that a full disk kept from the tables are folded before the next are appended', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '2.0.0': {} }));
  origin.server.packages.put(madePackage('beta', { '1.0.0': {} }));
  origin.pass(FRESHNESS_MS);
  // The second one is the log's own attempt to mend it.
  for (let times = 0; times < 2; times++) origin.metadata.failNext('fold', full());
  await assert.rejects(origin.packument('alpha'), { status: 507 });
  const size = await origin.metadata.size();
  assert.equal(await origin.metadata.folded(), size - 2);
  assert.equal(origin.log.size(), size);

  await origin.packument('beta');
  assert.equal(await origin.metadata.folded(), size + 2);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '2.0.0']);
  assert.equal((await origin.learner.packument('alpha', '192.0.2.0/24')).view.seq, 2);
});

test('a full disk refuses what is appended, and the next goes on from where the log is', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  metadata.failNext('append', full());
  await assert.rejects(log.append([numbered(1)]), StorageFullError);
  assert.equal(await metadata.size(), 1);
  // This time it is only the answer that gets lost.
  metadata.failNext('append', full(), { persist: true });
  await assert.rejects(log.append([numbered(2)]), StorageFullError);
  await log.idle();
  assert.equal((await verified(shown(log), metadata)).size, 3);
  await log.append([numbered(3)]);
  assert.equal((await verified(shown(log), metadata)).size, 5);
});

test('an entry that can not be folded never gets into the log', async () => {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  const learned = { kind: 'learned', name: 'alpha', head: '0'.repeat(64) } as const;
  await assert.rejects(log.append([learned]), /is missing from the store/);
  assert.equal(await metadata.size(), 1);
  await log.append([numbered(1)]);
  assert.deepEqual(await journalKinds(metadata), ['host-evict']);
});

test('two that write to one store by mistake: one is refused, and no size is ever signed with two roots', async () => {
  const file = `${tempFolder()}/metadata.sqlite`;
  const stores = [await openSqliteMetadataStore(file), await openSqliteMetadataStore(file)] as const;
  const [a, b] = [await openTestLog(stores[0]), await openTestLog(stores[1])];
  const published = [shown(a), shown(b)];
  for (const log of [a, b]) log.subscribe((one) => published.push(one));
  const results = await Promise.allSettled([a.append([numbered(1)]), b.append([numbered(2)])]);
  const refused = results.filter((result) => result.status === 'rejected');
  assert.equal(refused.length, 1);
  assert.ok(refused[0]?.reason instanceof ConflictError);

  // The one that was refused has looked again: both go on.
  await b.append([numbered(3)]);
  await assert.rejects(a.append([numbered(4)]), ConflictError);
  await a.append([numbered(5)]);
  const notes = new Map<number, string>();
  for (const { note, checkpoint } of published) {
    assert.equal(notes.get(checkpoint.size) ?? note, note);
    notes.set(checkpoint.size, note);
    assert.equal(openCheckpoint(note, [LOG_VKEY], LOG_NAME).checkpoint.size, checkpoint.size);
    await verified({ checkpoint, note }, stores[0]);
  }
  await Promise.all(stores.map((store) => store.close()));
});

test('a journal from a time without a tree is given one, and a commit', async () => {
  const metadata = new MemoryMetadataStore();
  const old = Array.from({ length: 700 }, (_, at) => formatEntry({ ...numbered(at), time: 5 } as never));
  metadata.appendWithoutTree(old);
  const log = await openTestLog(metadata);
  assert.equal((await verified(shown(log), metadata)).size, 701);
  assert.equal(await metadata.folded(), 701);
  assert.deepEqual(await metadata.entries(0, 700), old);
});

test('a start that stops while the old journal is being given its tree goes on at the next', async () => {
  const metadata = new MemoryMetadataStore();
  metadata.appendWithoutTree([formatEntry({ ...numbered(1), time: 5 } as never)]);
  metadata.failNext('append', full(), { persist: true });
  await assert.rejects(openTestLog(metadata), StorageFullError);
  assert.equal((await metadata.head()).size, 1);
  const log = await openTestLog(metadata);
  assert.equal((await verified(shown(log), metadata)).size, 2);
});
