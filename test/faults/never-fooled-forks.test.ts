// An origin that signs two histories, whoever shows the second one, and whenever: it is found out, both of its words are kept,
// and what is held goes on being served. Besides, older words that are true, and words that nobody can prove.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fromBase64, utf8 } from '../../src/core/bytes.ts';
import { formatCheckpoint, openCheckpoint } from '../../src/core/checkpoint.ts';
import { CHECKPOINT_HEADER, formatCheckpointHeader } from '../../src/core/checkpoint-header.ts';
import { type Entry, formatEntry } from '../../src/core/entry.ts';
import { ProofError } from '../../src/core/errors.ts';
import { checkConsistency } from '../../src/core/merkle.ts';
import { besiege, type Siege } from '../support/siege.ts';
import { LOG_NAME, learned, newSigner, SignedLog, vkeyOf } from '../support/signed-log.ts';
import { spawnMirror } from '../support/spawn-mirror.ts';
import { until } from '../support/until.ts';

const SIZE = 700;
const evilFrom = (log: SignedLog, from: number, size: number) => log.fork(from).add(learned('evil')).growTo(size);
const visit = (url: string, header: string) =>
  fetch(`${url}/-/federation/checkpoint`, { headers: { [CHECKPOINT_HEADER]: header } });

/** Resolves when the mirror shows that many forks; both words of each are kept, and convict the log's key. */
async function convicted(siege: Siege, count = 1): Promise<readonly { source: string }[]> {
  const { mirror, log, data } = siege;
  const views = await until(`${count} split views`, async () => {
    const { splitViews } = await mirror.health();
    return splitViews.length >= count ? splitViews : null;
  });
  assert.equal(views.length, count);
  assert.equal(await mirror.metric(/^open_registry_log_split_views/), count);
  const files = await siege.evidence();
  assert.equal(files.length, count);
  for (const file of files) assertConvicts(JSON.parse(await readFile(join(data, 'evidence', file), 'utf8')), log);
  return views;
}

function assertConvicts(view: { held: string; offered: string; proof: string[] }, log: SignedLog): void {
  const vkeys = [vkeyOf(log.keys.log)];
  const heads = [view.held, view.offered].map((note) => openCheckpoint(note, vkeys, LOG_NAME).checkpoint);
  const [small, large] = heads.sort((a, b) => a.size - b.size) as [(typeof heads)[0], (typeof heads)[0]];
  if (small.size === large.size) assert.notDeepEqual(small.root, large.root);
  else assert.throws(() => checkConsistency(view.proof.map(fromBase64), small, large), ProofError);
}

/** The history that is held is followed on. */
async function assertGoesOn({ log, mirror, origin }: Siege): Promise<void> {
  origin.log = log;
  log.growTo(log.size + 100);
  await mirror.shows(await log.note());
  await mirror.serves(log, log.size);
}

describe('another history', () => {
  for (const [what, from, size, shownBy] of [
    ['of the same size', 300, SIZE, 'origin'],
    ['that is longer', 300, SIZE + 500, 'peer 1'],
    ['that is longer by one entry', SIZE - 1, SIZE + 1, 'origin'],
    ['that is shorter', 300, SIZE - 100, 'peer 1'],
    ['that differs in the first entry', 0, SIZE + 300, 'origin'],
  ] as const) {
    it(`${what}, shown by the ${shownBy}, is evidence, and nothing else`, async (t) => {
      const siege = await besiege(t);
      const { log, mirror } = siege;
      const liar = shownBy === 'origin' ? siege.origin : siege.peer;
      liar.log = evilFrom(log, from, size);
      assert.deepEqual(
        (await convicted(siege)).map(({ source }) => source),
        [shownBy],
      );
      assert.equal((await mirror.health()).sources[shownBy], 'split-view');
      await mirror.serves(log, SIZE);
      liar.log.growTo(liar.log.size + 1);
      await convicted(siege, 2);
      const again = await siege.restart();
      await again.serves(log, SIZE);
      liar.log = log;
      await assertGoesOn(siege);
      assert.deepEqual((await again.health()).sources, { origin: 'current', 'peer 1': 'current' });
      await siege.endSound();
    });
  }

  it('told by a visitor is evidence, however many signatures stand beneath it', async (t) => {
    const siege = await besiege(t);
    const note = await evilFrom(siege.log, 300, 600).note();
    for (let at = 0; at < 20; at += 1) {
      const more = `— x.example ${Buffer.from([0, 0, 0, at, 1]).toString('base64')}\n`;
      await visit(siege.mirror.url, formatCheckpointHeader(`${note}${more}`));
    }
    const [view] = await convicted(siege);
    assert.equal(view?.source, 'a visitor');
    await assertGoesOn(siege);
    await convicted(siege);
  });

  it('that only its word is known of is evidence once the log is as long', async (t) => {
    const siege = await besiege(t);
    const { log } = siege;
    await visit(siege.mirror.url, formatCheckpointHeader(await evilFrom(log, 300, SIZE + 150).note()));
    await assertGoesOn(siege);
    assert.deepEqual((await siege.mirror.health()).splitViews, []);
    await siege.restart();
    await assertGoesOn(siege);
    assert.equal((await convicted(siege))[0]?.source, 'a visitor');
  });

  it('whose tiles are shown and whose entries are not is evidence once the log is as long', async (t) => {
    const siege = await besiege(t);
    siege.peer.lie(/^tile\/entries/, () => ({ status: 404, headers: {}, body: utf8('') }));
    siege.peer.log = evilFrom(siege.log, SIZE, SIZE + 50);
    await until('a look', async () => (await siege.mirror.looks('peer 1', 'away')) > 0);
    siege.peer.log = siege.log;
    siege.peer.beHonest();
    await assertGoesOn(siege);
    assert.equal((await convicted(siege))[0]?.source, 'peer 1');
    await siege.endSound();
  });
});

describe('another history that was being taken in when the mirror was killed', () => {
  for (const [step, times, held] of [
    ['log:aimed', 1, SIZE],
    ['log:appended', 1, 4_096 + 512],
    ['log:folded', 1, 4_096 + 512],
  ] as const) {
    it(`at ${step}, is found out when the first one comes back`, async (t) => {
      const siege = await besiege(t);
      const { log, origin, peer, data } = siege;
      await siege.mirror.kill();
      const evil = evilFrom(log, SIZE, 6_000);
      for (const server of [origin, peer]) server.log = evil;
      const killed = spawnMirror(t, origin.url, data, { originKey: vkeyOf(log.keys.root), until: step, times });
      assert.deepEqual(await killed.ended, [null, 'SIGKILL']);
      log.growTo(6_500);
      for (const server of [origin, peer]) server.log = log;

      const mirror = await siege.restart();
      if (held > SIZE) {
        const views = await until('a fork', async () => {
          const { splitViews } = await mirror.health();
          return splitViews.length > 0 ? splitViews : null;
        });
        assert.deepEqual(
          views.map(({ held: ours, offered }) => [sizeOf(ours), sizeOf(offered)]),
          [[6_000, 6_500]],
        );
        assert.equal(await mirror.note(), await log.note(SIZE), 'the old checkpoint, of which both are');
      } else {
        assert.equal((await convicted(siege))[0]?.source, 'before the start');
        await mirror.serves(log, 6_500);
      }
      await siege.endSound();
    });
  }
});

const sizeOf = (note: string): number => Number(note.split('\n')[1]);

describe('what no honest origin signs', () => {
  const commit = (time: number) => formatEntry({ kind: 'commit', time });
  const entry = (fields: object) => formatEntry({ time: 1_800_000_000_000, ...fields } as Entry);
  const key = newSigner(LOG_NAME);
  const keyEntry = (log: SignedLog, signature: string) =>
    entry({ kind: 'log-key', previous: vkeyOf(log.keys.log), key: vkeyOf(key), signature });

  for (const [what, entries] of [
    ['an unknown kind', () => [utf8('learned/9\ntime 1800000000000\n')]],
    ['bytes that are no entry', () => [Uint8Array.of(0xff, 0, 1)]],
    ['an empty entry', () => [new Uint8Array(0)]],
    ['a time that goes back', () => [commit(1_700_000_000_000)]],
    ['a time after all times', () => [utf8('commit/0\ntime 99999999999999999999\n')]],
    ['no commit at its end', () => [entry({ kind: 'learned', name: 'open-ended', head: 'a'.repeat(64) })]],
    ['a log key without the root key’s word', (log: SignedLog) => [keyEntry(log, Buffer.alloc(64).toString('base64'))]],
    ['an entry of the greatest length', () => [new Uint8Array(65_535).fill(0x61)]],
  ] as const) {
    it(`${what}: is kept out, and the log is followed where it is honest`, async (t) => {
      const siege = await besiege(t, new SignedLog().growTo(300));
      const { log, mirror, origin, peer } = siege;
      const bad = log.fork(300).addRaw(...entries(log));
      // What comes behind it makes it no better.
      if (what !== 'no commit at its end') bad.addRaw(commit(1_800_000_000_001));
      for (const server of [origin, peer]) server.log = bad;
      const ownWords = ['unreadable', 'wrong'];
      await until('both refused', async () =>
        Object.values((await mirror.health()).sources).every((s) => ownWords.includes(s)),
      );
      await mirror.serves(log, 300);
      peer.log = log;
      log.growTo(400);
      await mirror.shows(await log.note());
      await convicted(siege);
      await assertGoesOn(siege);
      assert.equal((await mirror.health()).stopped, null);
    });
  }

  it('two commits one after the other: are followed, since they say nothing wrong', async (t) => {
    const { log, mirror } = await besiege(t, new SignedLog().growTo(300));
    log.addRaw(log.entries.at(-1) as Uint8Array, log.entries.at(-1) as Uint8Array);
    await mirror.shows(await log.note());
  });

  it('a log without entries that has a root: is nothing', async (t) => {
    const keys = new SignedLog().keys;
    const root = new Uint8Array(32).fill(1);
    const text = formatCheckpoint({ origin: LOG_NAME, size: 0, root, extensions: [] });
    const siege = await besiege(t, new SignedLog(keys));
    siege.origin.shown = await siege.log.sign(text);
    await until('a look', async () => (await siege.mirror.looks('origin', 'wrong')) > 0);
    assert.equal(await siege.mirror.note(), await siege.log.note());
    assert.deepEqual(await siege.evidence(), []);
  });
});

describe('old words', () => {
  it('of both sources after a restart take nothing back', async (t) => {
    const siege = await besiege(t);
    const old = await siege.log.note(500);
    for (const server of [siege.origin, siege.peer]) server.shown = old;
    const mirror = await siege.restart();
    await until('both looked at', async () =>
      Object.values((await mirror.health()).sources).every((s) => s === 'older'),
    );
    await mirror.serves(siege.log, SIZE);
    assert.deepEqual(await siege.evidence(), []);
  });

  it('of an origin that stands still stop nobody who has a peer', async (t) => {
    const siege = await besiege(t);
    const { log, origin, mirror } = siege;
    origin.shown = await log.note();
    for (const size of [800, 900]) {
      log.growTo(size);
      await mirror.shows(await log.note());
    }
    assert.equal((await mirror.health()).sources.origin, 'older');
    assert.deepEqual(await siege.evidence(), []);
    origin.shown = null;
    await assertGoesOn(siege);
  });
});

describe('words of strangers', () => {
  /** A thousand at once: as many as a crowd of visitors may tell. */
  async function tell(
    t: TestContext,
    headers: (log: SignedLog, at: number) => Promise<string> | string,
  ): Promise<number> {
    const siege = await besiege(t, new SignedLog().growTo(SIZE), {
      door: 'http://door.example',
      logTimes: { originMs: 60_000, peersMs: 60_000, peersAwayMs: 60_000 },
    });
    const { log, origin, peer, mirror } = siege;
    const asked = () => [...origin.asked, ...peer.asked].filter((line) => /checkpoint|tile/.test(line)).length;
    await until('a look at the peer', async () => (await mirror.looks('peer 1')) > 0);
    const before = asked();
    for (let at = 0; at < 100; at += 10) {
      const some = Array.from({ length: 10 }, async (_, more) => visit(mirror.url, await headers(log, at + more)));
      for (const answer of await Promise.all(some)) assert.equal(answer.status, 200);
    }
    await mirror.serves(log, SIZE);
    assert.deepEqual(await siege.evidence(), []);
    return asked() - before;
  }

  for (const [what, header] of Object.entries({
    'that are no header': () => 'garbage!!',
    'that are no note': (_: SignedLog, at: number) => formatCheckpointHeader(`no note ${at}\n`),
    'that are too long': () => 'A'.repeat(4_000),
    'that are forged': (log: SignedLog, at: number) =>
      log.note(SIZE + at, newSigner(LOG_NAME)).then(formatCheckpointHeader),
  })) {
    it(`${what} lead to no request`, async (t) => {
      assert.equal(await tell(t, header), 0);
    });
  }

  it('that are signed, and that nobody can prove, lead to few', async (t) => {
    const sizes = (log: SignedLog, at: number) =>
      formatCheckpoint({ origin: LOG_NAME, ...log.head(), size: 2 ** 52 + at, extensions: [] });
    const asked = await tell(t, async (log, at) => formatCheckpointHeader(await log.sign(sizes(log, at))));
    assert.ok(asked > 0 && asked < 3_000, `${asked} requests`);
  });
});

it('a peer that makes up words with each of its answers is not asked without end', async (t) => {
  const siege = await besiege(t, new SignedLog().growTo(SIZE), {
    logTimes: { originMs: 200, peersMs: 200, peersAwayMs: 200 },
  });
  const { peer, origin, mirror, log } = siege;
  let count = 0;
  peer.lie(/^checkpoint/, (honest) => {
    count += 1;
    return { ...honest, headers: { [CHECKPOINT_HEADER]: formatCheckpointHeader(`news ${count}\n`) } };
  });
  const looks = await mirror.looks('origin');
  await until('20 looks at the origin', async () => (await mirror.looks('origin')) > looks + 20, 20_000);
  assert.ok(count < 200, `${count} requests`);
  log.growTo(900);
  await mirror.shows(await log.note());
  assert.ok(origin.asked.length > 0);
});
