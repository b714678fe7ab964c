import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { utf8 } from '../../src/core/bytes.ts';
import type { Lie, LogReply } from './signed-log.ts';

const MIB = 1024 * 1024;

/** Bytes that liars have sent, or were ready to send, since the start: shows that nobody reads them without end. */
export const sent = { bytes: 0 };

const ok = (body: LogReply['body'], headers: Record<string, string> = {}): LogReply => ({ status: 200, headers, body });
const status = (code: number, body = '', headers: Record<string, string> = {}): Lie => {
  return () => ({ status: code, headers, body: utf8(body) });
};
const bytesOf = ({ body }: LogReply): Uint8Array => body as Uint8Array;
const packed = (bytes: Uint8Array, coding: string): LogReply => ok(bytes, { 'content-encoding': coding });

const bomb = gzipSync(new Uint8Array(64 * MIB));
const bombInBomb = gzipSync(bomb);
const otherBombs = {
  br: brotliCompressSync(new Uint8Array(64 * MIB)),
  zstd: zstdCompressSync(new Uint8Array(64 * MIB)),
};

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    sent.bytes += 65_536;
    yield new Uint8Array(65_536).fill(0x61);
  }
}

/** A byte now and then, so that no connection ever looks dead. */
async function* trickle(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await sleep(20);
    yield utf8('a');
  }
}

/** What any answer may be instead of what it should be, whatever was asked for. */
export const TRANSPORT_LIES: Readonly<Record<string, Lie>> = {
  'no content': status(204),
  'only a part of it': status(206, 'part', { 'content-range': 'bytes 0-3/9' }),
  'a 304 that nobody asked for': status(304),
  'a page of HTML': () => ok(utf8('<!doctype html><title>Log in</title>'), { 'content-type': 'text/html' }),
  'nothing at all': () => ok(utf8('')),
  'bytes that are no text': () => ok(Uint8Array.of(0xff, 0xfe, 0, 1, 2, 3)),
  'a 404': status(404),
  'a 429 for a year': status(429, '', { 'retry-after': '31536000' }),
  'a 500': status(500, 'oops'),
  'data without end': () => ok(endless()),
  'compressed data without end': () => ok(gzipSync(Buffer.alloc(MIB), { level: 0 }).subarray(0, MIB)),
  'a byte now and then': () => ok(trickle()),
  'a gzip bomb': () => packed(bomb, 'gzip'),
  'a bomb within a bomb': () => packed(bombInBomb, 'gzip, gzip'),
  'a thousand codings': (honest) => packed(bytesOf(honest), Array(1_000).fill('gzip').join(', ')),
  'a br bomb, not asked for': () => packed(otherBombs.br, 'br'),
  'a zstd bomb, not asked for': () => packed(otherBombs.zstd, 'zstd'),
  'gzip that is none': () => packed(utf8('not gzip'), 'gzip'),
  'gzip that ends early': (honest) => packed(gzipSync(bytesOf(honest)).subarray(0, -9), 'gzip'),
  'more than it announces': (honest) => ok(async(bytesOf(honest)), { 'content-length': '5' }),
  'less than it announces': (honest) => ok(async(bytesOf(honest)), { 'content-length': '60000' }),
  'an announced exabyte': (honest) => ok(async(bytesOf(honest)), { 'content-length': '1152921504606846976' }),
  'half of it, and a closed connection': (honest) => ok(broken(bytesOf(honest))),
  'a reset connection': (_, { socket }) => {
    socket.resetAndDestroy();
    return null;
  },
  'headers without end': (_, { socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\n${'x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(20_000)}`);
    return null;
  },
  'interim answers without end': (_, { socket }) => {
    // A turn of the event loop in between: else a fast reader keeps this process from seeing the connection's end.
    const flood = (): void => {
      if (socket.destroyed) return;
      socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(100), () => setImmediate(flood));
    };
    socket.on('error', () => undefined);
    flood();
    return null;
  },
  'something that is not HTTP': (_, { socket }) => {
    socket.end('SSH-2.0-OpenSSH_9.9\r\n');
    return null;
  },
  silence: () => null,
};

async function* async(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* broken(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, bytes.length / 2);
  throw new Error('this source closes its connections half-way');
}
