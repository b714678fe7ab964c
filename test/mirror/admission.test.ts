import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { toBase64 } from '../../src/core/bytes.ts';
import { formatCheckpointHeader } from '../../src/core/checkpoint-header.ts';
import { mirrorKeyName } from '../../src/core/host-keys.ts';
import { COSIGNATURES_SERVED_MAX } from '../../src/core/limits.ts';
import { leafHash } from '../../src/core/merkle.ts';
import { addSignatureLines, splitNote } from '../../src/core/note.ts';
import { openCosigner } from '../../src/io/cosigner.ts';
import { openCosignerKey } from '../../src/io/key-file.ts';
import { createMirrorCosigner } from '../../src/mirror/cosigner.ts';
import type { HeldCheckpoint } from '../../src/mirror/held-log.ts';
import { readerOf } from '../support/hash-reader.ts';
import { LogLines } from '../support/log-lines.ts';
import { LOG_NAME, learned, SignedLog, serveLog } from '../support/signed-log.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { startTestMirror } from '../support/test-mirror.ts';
import { until } from '../support/until.ts';

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

describe('a mirror’s cosigner', () => {
  async function setUp(t: Pick<TestContext, 'after'>, first: SignedLog, size: number) {
    const dir = tempFolder();
    const key = await openCosignerKey(dir, 'cosigner.key', mirrorKeyName('0'.repeat(16)));
    const cosigner = await openCosigner(dir, 'mirror', key, Date.now);
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
        confirmed: () => null,
        subscribe: (listener) => {
          state.tell = () => listener(state.served);
          return () => undefined;
        },
      },
      hashes: (of) => readerOf(state.log.entries.slice(0, of).map(leafHash)),
      moved: () => moves.push(own.latest()?.checkpoint.size ?? 0),
      ...{ logger: lines.logger, now: Date.now, times: { renewMs: 60_000, paceMs: 0 } },
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
