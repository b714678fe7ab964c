import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { sha512Hex } from '../../src/core/hash.ts';

/** Another mirror as its peers see it, which breaks off, lies or pauses where a test wants it to. */
export type BlobSource = {
  readonly url: string;
  /** First bytes asked for, 0 for a whole blob, in order. */
  readonly asked: number[];
  /** What it gives out, by sha512; need not be the bytes with that hash. */
  readonly blobs: Map<string, Uint8Array>;
  /** Answers with a true blob's hash. */
  add(bytes: Uint8Array): string;
  /** From now on every answer breaks off before this byte of the blob. */
  breakAt(byte: number): void;
  /** The next answer waits before this byte of the blob. */
  pauseAt(byte: number): { readonly reached: Promise<void>; readonly goOn: () => void };
};

export async function startBlobSource(t: Pick<TestContext, 'after'>): Promise<BlobSource> {
  const blobs = new Map<string, Uint8Array>();
  const asked: number[] = [];
  let end = Number.POSITIVE_INFINITY;
  let pause: { byte: number; wait: () => Promise<void> } | null = null;

  async function send(response: ServerResponse, bytes: Uint8Array, from: number): Promise<void> {
    const { byte, wait } = pause ?? { byte: 0, wait: async () => undefined };
    pause = null;
    if (byte > from) response.write(bytes.subarray(from, byte));
    await wait();
    const rest = bytes.subarray(Math.max(from, byte), Math.min(end, bytes.length));
    if (end >= bytes.length) response.end(rest);
    else response.write(rest, () => response.destroy());
  }

  const server = createServer((request, response) => {
    const bytes = blobs.get(request.url?.split('/').at(-1)?.split('?')[0] ?? '');
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    asked.push(from);
    const partial = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from, ...(from > 0 ? partial : {}) });
    void send(response, bytes, from);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    blobs,
    add(bytes) {
      blobs.set(sha512Hex(bytes), bytes);
      return sha512Hex(bytes);
    },
    breakAt(byte) {
      end = byte;
    },
    pauseAt(byte) {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const wait = () => {
        reached.resolve();
        return released.promise;
      };
      pause = { byte, wait };
      return { reached: reached.promise, goOn: released.resolve };
    },
  };
}
