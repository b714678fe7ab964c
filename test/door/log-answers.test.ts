import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { toHex } from '../../src/core/bytes.ts';
import { openCheckpoint } from '../../src/core/checkpoint.ts';
import { parseBundle } from '../../src/core/entry-bundle.ts';
import { NotFoundError, UnavailableError } from '../../src/core/errors.ts';
import { leafHash, rootHash, treeHash } from '../../src/core/merkle.ts';
import { bundlePath, hashesIn, tilePath, tilesOf } from '../../src/core/tile.ts';
import { createTileReader } from '../../src/core/tile-reader.ts';
import { createLogAnswers, isLogPath } from '../../src/door/log-answers.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { LOG_NAME, LOG_VKEY, numbered, openTestLog } from '../support/test-log.ts';
import { startWholeOrigin } from '../support/whole-origin.ts';

/** 300 entries: 298 of them, and two commits. */
async function startLog() {
  const metadata = new MemoryMetadataStore();
  const log = await openTestLog(metadata);
  await log.append(Array.from({ length: 298 }, (_, at) => numbered(at)));
  const answer = createLogAnswers({ metadata, checkpoint: () => log.checkpoint()?.note ?? null });
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    answer({ method, headers }, path.split('/'));
  return { metadata, log, ask };
}

const { metadata, log, ask } = await startLog();
const leaves = (await metadata.entries(0, 300)).map(leafHash);
const bodyOf = async (path: string, headers?: Record<string, string>) => {
  const { body } = await ask(path, headers);
  assert.ok(body instanceof Uint8Array);
  return body;
};

describe('the checkpoint', () => {
  it('is text that may be kept for a second, with a tag to ask again by', async () => {
    const { status, headers, body } = await ask('checkpoint');
    assert.deepEqual(
      [status, headers['content-type'], headers['cache-control']],
      [200, 'text/plain; charset=utf-8', 'public, max-age=1'],
    );
    assert.equal(Buffer.from(body as Uint8Array).toString(), log.checkpoint()?.note);
    const again = await ask('checkpoint', { 'if-none-match': headers.etag as string });
    assert.deepEqual([again.status, again.body], [304, null]);
    const head = await ask('checkpoint', {}, 'HEAD');
    assert.deepEqual(
      [head.status, head.body, head.headers['content-length']],
      [200, null, `${(body as Uint8Array).length}`],
    );
  });

  it('is not there before the first one', async () => {
    const answer = createLogAnswers({ metadata, checkpoint: () => null });
    await assert.rejects(answer({ method: 'GET', headers: {} }, ['checkpoint']), UnavailableError);
  });
});

describe('a tile', () => {
  it('holds the hashes of its level, at every width that it has had', async () => {
    assert.deepEqual(hashesIn(await bodyOf('tile/0/000')), leaves.slice(0, 256));
    for (const width of [1, 2, 43, 44]) {
      assert.deepEqual(hashesIn(await bodyOf(`tile/0/001.p/${width}`)), leaves.slice(256, 256 + width));
    }
    for (const width of [1, 255]) {
      assert.deepEqual(hashesIn(await bodyOf(`tile/0/000.p/${width}`)), leaves.slice(0, width));
    }
    assert.deepEqual(hashesIn(await bodyOf('tile/1/000.p/1')), [rootHash(leaves.slice(0, 256))]);
  });

  it('may be kept for ever', async () => {
    const { headers } = await ask('tile/0/000');
    assert.deepEqual(
      [headers['content-type'], headers['cache-control'], headers['content-length']],
      ['application/octet-stream', 'public, max-age=31536000, immutable', '8192'],
    );
    assert.equal((await ask('tile/0/000', { 'if-none-match': headers.etag as string })).status, 304);
    assert.equal((await ask('tile/0/000', {}, 'HEAD')).body, null);
  });

  const missing = [
    ...['tile/0/001', 'tile/0/001.p/45', 'tile/0/002.p/1', 'tile/1/000', 'tile/1/000.p/2', 'tile/2/000.p/1'],
    ...[
      'tile/0/000.p/0',
      'tile/0/000.p/256',
      'tile/0/000.p/01',
      'tile/0/0',
      'tile/0/x000/000',
      'tile/-1/000',
      'tile/00/000',
    ],
    ...[
      'tile',
      'tile/0',
      'tile/0/001.p',
      'tile/0/000/',
      'tile/0/000.p/1/2',
      'tile/64/000',
      'tile/entries',
      'tile/../checkpoint',
    ],
    ...['tile/entries/001', 'tile/entries/001.p/45', 'tile/entries/002.p/1', 'tile/entries/000.p/0', 'tile/data/000'],
    ...['tile/0/x999/x999/x999/x999/x999/999', 'tile/entries/x999/x999/x999/x999/x999/999'],
  ];
  for (const path of missing) {
    it(`is not at ${path}`, () => assert.rejects(ask(path), NotFoundError));
  }
});

describe('an entry bundle', () => {
  it('holds the entries under its tile', async () => {
    assert.deepEqual(parseBundle(await bodyOf('tile/entries/000'), 256), await metadata.entries(0, 256));
    assert.deepEqual(parseBundle(await bodyOf('tile/entries/001.p/7'), 7), await metadata.entries(256, 7));
  });

  it('is compressed for those who take it so, each form with a tag of its own', async () => {
    const plain = await ask('tile/entries/000');
    for (let time = 0; time < 2; time++) {
      const packed = await ask('tile/entries/000', { 'accept-encoding': 'gzip' });
      assert.deepEqual([packed.headers['content-encoding'], packed.headers.vary], ['gzip', 'Accept-Encoding']);
      assert.deepEqual(new Uint8Array(gunzipSync(packed.body as Uint8Array)), new Uint8Array(plain.body as Uint8Array));
      assert.notEqual(packed.headers.etag, plain.headers.etag);
      const again = await ask('tile/entries/000', {
        'accept-encoding': 'gzip',
        'if-none-match': packed.headers.etag as string,
      });
      assert.equal(again.status, 304);
    }
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.headers.vary, 'Accept-Encoding');
    assert.equal((await ask('tile/entries/000', { 'accept-encoding': 'br, identity;q=0' })).status, 406);
  });
});

test("only paths of the log are the log's", () => {
  const paths = [['checkpoint'], ['tile', '0', '000'], ['tile'], ['checkpoint', 'x'], ['keys'], []];
  assert.deepEqual(paths.map(isLogPath), [true, true, true, false, false, false]);
});

test('root from entries, root from tiles and the signed root are the same', async () => {
  const note = Buffer.from(await bodyOf('checkpoint')).toString();
  const { checkpoint } = openCheckpoint(note, [LOG_VKEY], LOG_NAME);
  const read = createTileReader(checkpoint, (tiles) => Promise.all(tiles.map((tile) => bodyOf(tilePath(tile)))));
  assert.equal(toHex(await treeHash(checkpoint.size, read)), toHex(checkpoint.root));
  assert.equal(toHex(rootHash(leaves)), toHex(checkpoint.root));
  assert.equal(tilesOf(checkpoint.size).length, 2);
});

test('a running origin serves a log that proves itself', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  assert.equal((await origin.ask('/alpha')).status, 200);
  assert.equal((await origin.ask('/alpha/-/alpha-1.0.0.tgz')).status, 200);
  await origin.measured(tarballs['1.0.0']);
  const get = async (path: string) => (await origin.ask(`/-/federation/${path}`)).body;
  const vkey = /^log (.*)$/m.exec((await get('keys')).toString())?.[1] ?? '';
  const { checkpoint } = openCheckpoint((await get('checkpoint')).toString(), [vkey], vkey.split('+')[0] as string);
  const { size, root } = checkpoint;
  const bundle = await get(bundlePath({ index: 0, width: size }));
  assert.equal(toHex(rootHash(parseBundle(bundle, size).map(leafHash))), toHex(root));
  const tile = await get(tilePath({ level: 0, index: 0, width: size }));
  assert.equal(toHex(rootHash(hashesIn(tile))), toHex(root));
  const health = JSON.parse((await origin.ask('/-/healthz')).body.toString());
  assert.deepEqual([health.log.size, health.log.root, health.log.halted], [size, toHex(root), null]);
  assert.equal(await origin.metric('log_checkpoint', { root: toHex(root) }), size);
  assert.equal(JSON.parse((await origin.ask('/')).body.toString()).update_seq > 0, true);
  assert.equal((await origin.ask('/-/federation/checkpoint', { method: 'POST' })).status, 405);
  assert.equal((await origin.ask(`/-/federation/tile/0/000.p/${size + 1}`)).status, 404);
});

test('a full bundle is read and compressed once, a growing one each time', async () => {
  let reads = 0;
  const counting = {
    head: () => metadata.head(),
    tile: () => Promise.resolve(null),
    entries: (from: number, limit: number) => {
      reads++;
      return metadata.entries(from, limit);
    },
  };
  const answer = createLogAnswers({ metadata: counting, checkpoint: () => null });
  const get = (path: string) => answer({ method: 'GET', headers: { 'accept-encoding': 'gzip' } }, path.split('/'));
  for (let time = 0; time < 3; time++) assert.deepEqual((await get('tile/entries/000')).status, 200);
  assert.equal(reads, 1);
  for (let time = 0; time < 3; time++) await get('tile/entries/001.p/44');
  assert.equal(reads, 4);
});
