// A large tarball that nobody asked for before: whoever verifies first reads along, all others wait until it was verified.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { CHUNK_BYTES } from '../../../src/core/limits.ts';
import { sriOf } from '../../support/made-package.ts';
import { assertSound, incidentsOf, storedFiles } from '../../support/stored.ts';
import { until } from '../../support/until.ts';
import { AGENTS, npmFor, pnpm } from '../../support/visitor.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const PATH = '/large/-/large-1.0.0.tgz';
const SIZE = 3_000_000;

/** An origin whose upstream keeps one large tarball on a server that sends it as the test says, and zeros from then on. */
async function startLarge(t: TestContext, size = SIZE) {
  const answering = Promise.withResolvers<ServerResponse>();
  let answers = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': size });
    answers += 1;
    if (answers === 1) answering.resolve(response);
    else response.end(Buffer.alloc(size));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const origin = await startWholeOrigin(t, { config: { upstreamTarballs: [url] } });
  const bytes = randomBytes(size);
  const shasum = createHash('sha1').update(bytes).digest('hex');
  origin.put('large', { '1.0.0': { dist: { tarball: `${url}${PATH}`, integrity: sriOf(bytes), shasum } } });
  await origin.ask('/large');
  const download = (headers: Record<string, string>) => fetch(`${origin.door}${PATH}`, { headers });
  return { origin, bytes, download, answering: answering.promise };
}

/** Reads so many bytes, or to the end. */
async function take(reader: ReadableStreamDefaultReader<Uint8Array>, bytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let length = 0; length < bytes; ) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  return Buffer.concat(parts);
}

const readerOf = ({ body }: Response) => (body as ReadableStream<Uint8Array>).getReader();
const storedTarballs = ({ data }: WholeOrigin) => storedFiles(data, /^cache\/tarballs\/(?!tmp)/);

/** Whoever asks again. */
async function assertToldInWords({ ask }: WholeOrigin, error: RegExp): Promise<void> {
  const reply = await ask(PATH, { headers: pnpm });
  assert.equal(reply.status, 502);
  assert.match(reply.error, error);
}

/** All but the last byte, of which one is wrong. */
function spoilt(bytes: Buffer): Buffer {
  const wrong = Buffer.from(bytes.subarray(0, -1));
  wrong[1_000_000] = (wrong[1_000_000] as number) ^ 1;
  return wrong;
}

describe('the first who asks for a large tarball', () => {
  it('and verifies it before use, pnpm, reads along, but not the last 64 KiB before all was verified', async (t) => {
    const { origin, bytes, download, answering } = await startLarge(t);
    const asking = download(pnpm);
    (await answering).write(bytes.subarray(0, -1));
    const response = await asking;
    assert.deepEqual([response.status, response.headers.get('content-length')], [200, `${SIZE}`]);
    const reader = readerOf(response);
    const first = await take(reader, SIZE - CHUNK_BYTES);
    assert.equal(first.length, SIZE - CHUNK_BYTES);
    assert.deepEqual(await storedTarballs(origin), []);
    (await answering).end(bytes.subarray(-1));
    assert.ok(Buffer.concat([first, await take(reader, CHUNK_BYTES + 1)]).equals(bytes));
    assert.notDeepEqual(await storedTarballs(origin), []);
    assert.equal((await origin.ask(PATH)).status, 200);
    await assertSound(origin.data);
  });

  for (const [who, headersFor] of [
    ['may not verify it, yarn 4', () => ({ 'user-agent': AGENTS['yarn 4'] })],
    ['may not verify it, yarn 1', () => ({ 'user-agent': AGENTS['yarn 1'] })],
    ['says nothing of verifying, npm', () => ({ 'user-agent': AGENTS.npm })],
    ['unpacks while it verifies, npm', npmFor],
  ] as const) {
    it(`and ${who}, gets no byte before all was verified`, async (t) => {
      const { bytes, download, answering } = await startLarge(t);
      const asking = download(headersFor(bytes));
      let answered = false;
      void asking.then(() => {
        answered = true;
      });
      (await answering).write(bytes.subarray(0, -1));
      const reader = readerOf(await download(pnpm));
      await take(reader, SIZE - CHUNK_BYTES);
      assert.equal(answered, false);
      (await answering).end(bytes.subarray(-1));
      assert.ok(Buffer.from(await (await asking).arrayBuffer()).equals(bytes));
      await take(reader, CHUNK_BYTES);
    });
  }

  it('is one of many that read along of one download, from wherever they begin', async (t) => {
    const { bytes, download, answering } = await startLarge(t);
    const early = download(pnpm);
    (await answering).write(bytes.subarray(0, 2_000_000));
    const parts = [download(pnpm), download({ ...pnpm, range: 'bytes=2500000-' })];
    (await answering).end(bytes.subarray(2_000_000));
    const [one, two, three] = await Promise.all([early, ...parts].map(async (one) => (await one).arrayBuffer()));
    assert.ok(Buffer.from(one as ArrayBuffer).equals(bytes) && Buffer.from(two as ArrayBuffer).equals(bytes));
    assert.ok(Buffer.from(three as ArrayBuffer).equals(bytes.subarray(2_500_000)));
  });

  it('learns that the bytes were wrong: pnpm by a cut, npm in words', async (t) => {
    const { origin, bytes, download, answering } = await startLarge(t);
    const [asking, waiting] = [download(pnpm), download(npmFor(bytes))];
    (await answering).write(spoilt(bytes));
    const reader = readerOf(await asking);
    await take(reader, 1);
    (await answering).end(bytes.subarray(-1));
    await assert.rejects(take(reader, SIZE), /terminated/);
    const told = await waiting;
    assert.equal(told.status, 502);
    assert.match(((await told.json()) as { error: string }).error, /wrong bytes/);
    assert.deepEqual(await storedTarballs(origin), []);
    await until('it is told to the admin', async () =>
      (await incidentsOf(origin.data)).includes('wrong-bytes large@1.0.0'),
    );
    assert.equal(await origin.metric('unfinished_bodies_total'), 1);
    await assertToldInWords(origin, /wrong bytes from/);
  });

  it('learns the same way that the upstream broke off', async (t) => {
    const { origin, bytes, download, answering } = await startLarge(t);
    const asking = download(pnpm);
    (await answering).write(bytes.subarray(0, 2_000_000));
    const reader = readerOf(await asking);
    await take(reader, 1);
    (await answering).destroy();
    await assert.rejects(take(reader, SIZE), /terminated/);
    assert.deepEqual(await storedTarballs(origin), []);
    await assertToldInWords(origin, /wrong bytes from/);
  });

  it('is told in words what is wrong with a smaller one', async (t) => {
    const { bytes, download, answering } = await startLarge(t, 500_000);
    const asking = download(pnpm);
    (await answering).end(Buffer.alloc(500_000));
    const response = await asking;
    assert.equal(response.status, 502);
    assert.match(((await response.json()) as { error: string }).error, new RegExp(`wrong bytes.*${hexOf(bytes)}`));
  });
});

const hexOf = (bytes: Buffer) => createHash('sha512').update(bytes).digest('hex');
