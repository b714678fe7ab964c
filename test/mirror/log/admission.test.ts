import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { toBase64 } from '../../../src/core/bytes.ts';
import { CHECKPOINT_HEADER, formatCheckpointHeader } from '../../../src/core/checkpoint-header.ts';
import { cosign, openCosignatures } from '../../../src/core/cosignature.ts';
import { mirrorKeyName } from '../../../src/core/host-keys.ts';
import { COSIGNATURES_SERVED_MAX } from '../../../src/core/limits.ts';
import { leafHash } from '../../../src/core/merkle.ts';
import { addSignatureLines, COSIGNATURE_TYPE, formatVkey, splitNote } from '../../../src/core/note.ts';
import { openCosigner } from '../../../src/io/cosigner.ts';
import { openCosignerKey } from '../../../src/io/key-file.ts';
import { createMirrorCosigner } from '../../../src/mirror/cosigning/cosigner.ts';
import type { HeldCheckpoint } from '../../../src/mirror/log/held-log.ts';
import { readerOf } from '../../support/hash-reader.ts';
import { LogLines } from '../../support/log-lines.ts';
import { LOG_NAME, learned, newSigner, SignedLog, serveLog, vkeyOf } from '../../support/signed-log.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';

const OFTEN = { originMs: 20, peersMs: 20, peersAwayMs: 20 };

/** Cosignatures by nobody, in the form of good ones. */
function junk(count: number): string[] {
  const bytes = (seed: number) => toBase64(Uint8Array.from({ length: 76 }, (_, at) => seed + at));
  return Array.from({ length: count }, (_, at) => `— nobody/${at} ${bytes(at)}\n`);
}

const namesAt = async (url: string) => {
  const note = await (await fetch(`${url}/-/federation/checkpoint`)).text();
  return splitNote(note).signatures.map(({ name }) => name);
};

describe('what stands beneath a checkpoint', () => {
  it('is passed on from the origin, and no more of it than readers look at', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(20));
    server.shown = addSignatureLines(await server.log.note(), junk(98));
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' });
    const names = await until('it has its own cosignature', async () => {
      const shown = mirror.follower.size() === 20 ? await namesAt(mirror.url) : [];
      return shown[1]?.startsWith('mirror/') ? shown : null;
    });
    assert.equal(names.length, 1 + COSIGNATURES_SERVED_MAX);
  });

  it('is this mirror’s own cosignature only where it is of that very text', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(20));
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' }, { logTimes: OFTEN });
    await until(
      'it is cosigned',
      async () => mirror.follower.size() === 20 && (await namesAt(mirror.url)).length === 2,
    );
    server.shown = await server.log.sign(`${splitNote(await server.log.note()).text}an extension\n`);
    const note = await until('it shows the extension', async () => {
      const shown = await (await fetch(`${mirror.url}/-/federation/checkpoint`)).text();
      return shown.includes('an extension') ? shown : null;
    });
    openCosignatures(note, [mirror.cosigner]);
  });

  it('is not passed on from a peer', async (t) => {
    const log = new SignedLog().growTo(20);
    const server = await serveLog(t, log);
    const peer = await serveLog(t, log);
    peer.shown = addSignatureLines(await log.note(), junk(5));
    const door = 'http://door.example';
    const mirror = await startTestMirror(t, server.url, { door, peers: [peer.url] }, { logTimes: OFTEN });
    await until('it follows', () => mirror.follower.size() === 20);
    await server.close();
    log.growTo(30);
    peer.shown = addSignatureLines(await log.note(), junk(5));
    await until('it follows its peer', () => mirror.follower.size() === 30);
    assert.deepEqual(
      (await namesAt(mirror.url)).filter((name) => name.startsWith('nobody')),
      [],
    );
  });

  it('is not passed on from a visitor', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(20));
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' });
    await until('it follows', () => mirror.follower.size() === 20);
    server.log.growTo(30);
    const shown = addSignatureLines(await server.log.note(), junk(3));
    const headers = { 'open-registry-checkpoint': formatCheckpointHeader(shown) };
    await fetch(`${mirror.url}/-/federation/checkpoint`, { headers });
    await until('it follows what it was shown', () => mirror.follower.size() === 30);
    assert.deepEqual(
      (await namesAt(mirror.url)).filter((name) => name.startsWith('nobody')),
      [],
    );
  });
});

describe('what a policy asked for', () => {
  it('stays beneath the checkpoint when its origin shows it without that later', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(20));
    const witness = newSigner('witness.example');
    const vkey = formatVkey(witness.name, witness.publicKey, COSIGNATURE_TYPE);
    const policy = join(tempFolder(), 'policy');
    await writeFile(policy, `log ${vkeyOf(server.log.keys.log)}\nwitness w ${vkey}\nquorum w\n`);
    const bare = await server.log.note();
    server.shown = addSignatureLines(bare, [await cosign(splitNote(bare).text, 1_750_000_000, witness)]);
    const config = { door: 'http://door.example', policy };
    const mirror = await startTestMirror(t, server.url, config, { logTimes: OFTEN });
    await until('it follows', () => mirror.follower.size() === 20);
    server.shown = addSignatureLines(bare, junk(1));
    const names = await until('it has what is new', async () => {
      const shown = await namesAt(mirror.url);
      return shown.includes('nobody/0') ? shown : null;
    });
    assert.ok(names.includes('witness.example'), `${names}`);
  });
});

describe('a visitor that shows what is served', () => {
  it('does not make it the newest', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(20));
    let passed = 0;
    const now = () => Date.now() + passed;
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' }, { now });
    await until('it follows', () => mirror.follower.size() === 20);
    await server.close();
    await until('the origin is away', () => mirror.follower.sources().origin === 'away');
    passed = 3_600_000;
    const heard = async () => /source="a visitor"/.test(await (await fetch(`${mirror.url}/-/metrics`)).text());
    const headers = {
      [CHECKPOINT_HEADER]: formatCheckpointHeader(addSignatureLines(await server.log.note(), junk(2))),
    };
    await fetch(`${mirror.url}/-/federation/checkpoint`, { headers });
    await until('it was looked at', heard);
    assert.ok((mirror.follower.confirmed() ?? 0) < now() - 1_800_000);
  });
});

describe('a mirror’s cosigner', () => {
  type Clock = { readonly ms: number; readonly confirmed: number | null };

  async function setUp(t: Pick<TestContext, 'after'>, first: SignedLog, size: number, clock?: Clock) {
    const now = () => clock?.ms ?? Date.now();
    const dir = tempFolder();
    const key = await openCosignerKey(dir, 'cosigner.key', mirrorKeyName('0'.repeat(16)));
    const cosigner = await openCosigner(dir, 'mirror', key, now);
    const lines = new LogLines('mirror');
    const moves: number[] = [];
    const held = async (log: SignedLog, at: number): Promise<HeldCheckpoint> => {
      const checkpoint = { origin: LOG_NAME, ...log.head(at), extensions: [] };
      return { checkpoint, note: await log.note(at) };
    };
    const state = { log: first, served: await held(first, size), tell: (): void => undefined };
    const own = createMirrorCosigner({
      cosigner,
      follower: {
        checkpoint: () => state.served,
        confirmed: () => clock?.confirmed ?? null,
        subscribe: (listener) => {
          state.tell = () => listener(state.served);
          return () => undefined;
        },
      },
      hashes: (of) => readerOf(state.log.entries.slice(0, of).map(leafHash)),
      moved: () => moves.push(own.latest()?.checkpoint.size ?? 0),
      ...{ logger: lines.logger, times: { renewMs: clock ? 5 : 60_000, paceMs: 0 } },
    });
    t.after(() => own.close());
    own.start();
    const serve = async (log: SignedLog, at: number) => {
      Object.assign(state, { log, served: await held(log, at) });
      state.tell();
    };
    return { own, lines, moves, serve };
  }

  it('cosigns what continues what it cosigned, and tells of each once', async (t) => {
    const log = new SignedLog().growTo(30);
    const { own, moves, serve } = await setUp(t, log, 10);
    await until('the first', () => own.latest()?.checkpoint.size === 10);
    await serve(log, 30);
    await until('the next', () => own.latest()?.checkpoint.size === 30);
    await serve(log, 30);
    assert.deepEqual(moves, [10, 30]);
  });

  it('renews its word although the clock was put back', async (t) => {
    const log = new SignedLog().growTo(30);
    const clock = { ms: 1_750_000_000_000, confirmed: null as number | null };
    const { own } = await setUp(t, log, 30, clock);
    await until('the first', () => own.latest()?.time === 1_750_000_000);
    clock.ms -= 86_400_000;
    clock.confirmed = clock.ms;
    await until('it is renewed', () => own.latest()?.time === 1_750_000_000 - 86_400);
  });

  it('never cosigns another history, nor an older checkpoint', async (t) => {
    const log = new SignedLog().growTo(30);
    const fork = () => log.fork(10).add(learned('other'));
    const { own, lines, moves, serve } = await setUp(t, log, 20);
    await until('the first', () => own.latest()?.checkpoint.size === 20);
    for (const [other, size] of [
      [fork().growTo(40), 40],
      [fork().growTo(20), 20],
      [log, 10],
    ] as const) {
      const refused = lines.next(({ level }) => level === 'error');
      await serve(other, size);
      assert.match((await refused).msg, /does not continue what was cosigned/);
    }
    assert.deepEqual([own.latest()?.checkpoint.size, moves], [20, [20]]);
  });
});
