// A change feed that lies, floods or breaks, told to a mirror that the command line started: it is no more than a reason to
// look, never twice at the same moment, and the next honest word is heard.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { formatCheckpoint } from '../../src/core/checkpoint.ts';
import { checkpointEvent, formatFeedEvent } from '../../src/core/event-stream.ts';
import { lifetime } from '../support/lifetime.ts';
import { runCommand, startCommand } from '../support/processes.ts';
import { signedByLogOnly } from '../support/siege.ts';
import { type Lie, LOG_NAME, type LogServer, newSigner, SignedLog, serveLog } from '../support/signed-log.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const life = lifetime();
const data = tempFolder();
let origin: LogServer;
let url: string;
/** Where nobody may be sent to. */
let inside: string;
let visitsInside = 0;

before(async () => {
  const secret = createServer((_, response) => {
    visitsInside += 1;
    response.end('secret');
  }).listen(0, '127.0.0.1');
  life.after(() => secret.close());
  await new Promise((resolve) => secret.once('listening', resolve));
  inside = `http://127.0.0.1:${(secret.address() as AddressInfo).port}`;
  origin = await serveLog(life, new SignedLog().growTo(300));
  const args = ['mirror', '--origin', origin.url, '--data', data, '--port', '0', '--door', 'http://door.example'];
  [url = ''] = await (await startCommand(life, args)).ready('mirror');
  await shows(await origin.log.note());
});

afterEach(async () => {
  origin.beHonest();
  origin.shown = null;
  // Whatever was told, the next honest word is heard.
  origin.log.growTo(origin.log.size + 3);
  await until(
    'an open feed',
    async () => {
      await origin.publish();
      return (await note()) === (await origin.log.note());
    },
    30_000,
  );
});

after(() => assert.equal(visitsInside, 0, 'nobody was sent to where a source pointed'));

const note = async () => signedByLogOnly(await (await fetch(`${url}/-/federation/checkpoint`)).text());
const shows = (wanted: string) => until('the checkpoint', async () => (await note()) === wanted);
const event = (id: string, text: string) =>
  Buffer.from(formatFeedEvent({ event: 'checkpoint', id, data: text })).toString();
const askedOfLog = () => origin.asked.filter((line) => /federation\/(checkpoint|tile)/.test(line)).length;

/** Resolves when the mirror has read all that it was told: the last thing is a word that makes it look. */
async function heard(): Promise<void> {
  const before = origin.asked.length;
  origin.tell(event('1', `look ${before}`));
  await until('a look, or the feed opened anew', () => origin.asked.length > before);
}

describe('a feed that tells', () => {
  const huge = (log: SignedLog) =>
    log.sign(formatCheckpoint({ origin: LOG_NAME, ...log.head(), size: Number.MAX_SAFE_INTEGER, extensions: [] }));
  const words: Record<string, (log: SignedLog) => Promise<string> | string> = {
    'of the past': async (log) => event('100', await log.note(100)),
    'of the past as if it were the future': async (log) => event('9007199254740993', await log.note(100)),
    'what is known, again and again': async (log) => event(`${log.size}`, await log.note()).repeat(1_000),
    garbage: () => event('x', 'garbage'),
    nothing: () => 'event: checkpoint\n\ndata\n\nid\n\n:\n\n\n\n',
    'events of kinds that nobody knows': () => 'event: __proto__\ndata: x\n\nevent: hosts\ndata: x\n\nretry: 0\n\n',
    'ids that are none': async (log) => event('../../\u0000-1', await log.note(100)),
    'forged checkpoints of huge sizes': async (log) =>
      event(
        '1',
        await log.sign(
          formatCheckpoint({ origin: LOG_NAME, ...log.head(), size: 2 ** 40, extensions: [] }),
          newSigner(LOG_NAME),
        ),
      ),
    'a signed checkpoint of a huge size': async (log) => event('1', await huge(log)),
    'an event that is too long': () => event('1', 'x'.repeat(20_000)),
    'a line without end': () => `data: ${'x'.repeat(MIB)}`,
    'ten thousand words, each another one': () =>
      Array.from({ length: 10_000 }, (_, at) => event(`${at}`, `word ${at}`)).join(''),
  };

  for (const [what, say] of Object.entries(words)) {
    it(`${what}: changes nothing`, async () => {
      await origin.feeds(1);
      const [before, asked] = [await note(), askedOfLog()];
      origin.tell(await say(origin.log));
      await heard();
      assert.equal(await note(), before);
      assert.ok(askedOfLog() - asked < 150, `${askedOfLog() - asked} requests`);
    });
  }

  it('bytes that are no text: changes nothing', async () => {
    await origin.feeds(1);
    const before = await note();
    origin.tell(Uint8Array.of(0xff, 0xfe, 10, 10));
    await heard();
    assert.equal(await note(), before);
  });
});

describe('instead of a feed', () => {
  const body =
    (text: string | Uint8Array, headers = {}): Lie =>
    () => ({ status: 200, headers, body: Buffer.from(text) });
  const feedBomb = gzipSync(Buffer.alloc(64 * MIB, 'x'));
  const lies: Record<string, () => Lie> = {
    'a page of HTML': () => body('<html>', { 'content-type': 'text/html' }),
    'an empty answer': () => body(''),
    'an error': () => () => ({ status: 500, headers: {}, body: Buffer.from('oops') }),
    'an error without end': () => () => ({ status: 500, headers: {}, body: endless() }),
    'a way to elsewhere': () => () => ({ status: 302, headers: { location: `${inside}/` }, body: Buffer.from('') }),
    'a way to a file': () => () => ({
      status: 301,
      headers: { location: 'file:///etc/passwd' },
      body: Buffer.from(''),
    }),
    'a gzip bomb that nobody asked for': () => body(feedBomb, { 'content-encoding': 'gzip' }),
    'bytes without end': () => () => ({ status: 200, headers: {}, body: endless() }),
    'a reset connection':
      () =>
      (_, { socket }) => {
        socket.resetAndDestroy();
        return null;
      },
  };

  for (const [what, lie] of Object.entries(lies)) {
    it(`${what}: the log is looked at all the same`, async () => {
      const asked = origin.asked.length;
      origin.lie(/^changes/, lie());
      origin.endFeeds();
      origin.log.growTo(origin.log.size + 3);
      await shows(await origin.log.note());
      await until('another attempt', () => origin.asked.slice(asked).some((line) => /changes/.test(line)));
      assert.ok(origin.asked.length - asked < 100);
    });
  }
});

describe('instead of a part of the log', () => {
  for (const path of [/^checkpoint/, /^tile\/entries/, /^tile\/\d/, /^keys/]) {
    it(`a way to elsewhere is not taken: ${path.source}`, async () => {
      await origin.feeds(1);
      const before = await note();
      origin.lie(path, (_, { url: path = '' }) => ({
        status: 307,
        headers: { location: `${inside}${path}` },
        body: Buffer.from(''),
      }));
      origin.log.growTo(origin.log.size + 300);
      // What nobody signed makes it look, and what another key signed makes it ask for the keys.
      if (path.test('keys')) origin.shown = await origin.log.note(origin.log.size, newSigner(LOG_NAME));
      const told = path.test('tile/0') || path.test('tile/entries') ? await origin.log.note() : `look for ${path}`;
      const asked = origin.asked.length;
      origin.tell(formatFeedEvent(checkpointEvent(1, told)));
      await until('a request', () =>
        origin.asked.slice(asked).some((line) => path.test(line.split('/-/federation/')[1] ?? '')),
      );
      assert.equal(await note(), before);
    });
  }
});

it('nothing of that was stored, or took much memory', async () => {
  const { code, stdout } = await runCommand(['verify', data]);
  assert.equal(code, 0, stdout);
  const metrics = await (await fetch(`${url}/-/metrics`)).text();
  const [, memory] = /^open_registry_memory_bytes\S* (\S+)$/m.exec(metrics) ?? [];
  assert.ok(Number(memory) < 400 * MIB, `${memory} bytes`);
});

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(65_536).fill(0x61);
}
