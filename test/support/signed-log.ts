import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { concat, toBase64, utf8 } from '../../src/core/bytes.ts';
import { formatCheckpoint } from '../../src/core/checkpoint.ts';
import { type Entry, formatEntry } from '../../src/core/entry.ts';
import { formatBundle } from '../../src/core/entry-bundle.ts';
import { checkpointEvent, formatFeedEvent } from '../../src/core/event-stream.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { formatKeysNoteText } from '../../src/core/keys-note.ts';
import { signLogKey } from '../../src/core/log-key.ts';
import { leafHash, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { formatVkey, type Signer, signNote } from '../../src/core/note.ts';
import { type Bundle, parseTilePath, TILE_WIDTH, type Tile } from '../../src/core/tile.ts';

/** The keys of an origin that lives in a test. */
export type LogKeys = {
  log: Signer;
  readonly root: Signer;
  readonly hosts: Signer;
  readonly exchange: string;
};

export const LOG_NAME = 'log.example/test';

export function makeLogKeys(name = LOG_NAME): LogKeys {
  const exchange = toBase64(rawPublic(generateKeyPairSync('x25519').publicKey));
  return { log: newSigner(name), root: newSigner(`${name}/root`), hosts: newSigner(`${name}/hosts`), exchange };
}

export const vkeyOf = ({ name, publicKey }: Signer): string => formatVkey(name, publicKey);

export function newSigner(name: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { name, publicKey: rawPublic(publicKey), sign: (message) => new Uint8Array(sign(null, message, privateKey)) };
}

/** The last 32 bytes of either kind's SubjectPublicKeyInfo are the key. */
function rawPublic(key: KeyObject): Uint8Array {
  return Uint8Array.from((key.export({ format: 'der', type: 'spki' }) as Buffer).subarray(-32));
}

/** An entry before it got its time. */
export type TestEntry = Entry extends infer E ? (E extends Entry ? Omit<E, 'time'> : never) : never;

/**
 * A log that is made by hand, and signed by real keys: also one that no honest origin would make. Everything is worked out
 * from the entries each time, so that nothing here could agree with the code under test by sharing its shortcuts.
 */
export class SignedLog {
  readonly keys: LogKeys;
  readonly entries: Uint8Array[];
  readonly #leaves: Uint8Array[];
  readonly #subtrees = new Map<string, Uint8Array>();
  /** By size: whoever asks for a checkpoint many times each second gets the same one. */
  readonly #notes = new WeakMap<Signer, Map<number, Promise<string>>>();
  time = 1_750_000_000_000;

  constructor(keys: LogKeys = makeLogKeys(), entries: readonly Uint8Array[] = []) {
    this.keys = keys;
    this.entries = [...entries];
    this.#leaves = entries.map(leafHash);
  }

  get size(): number {
    return this.entries.length;
  }

  /** Appends the entries and a commit. */
  add(...entries: TestEntry[]): this {
    for (const entry of [...entries, { kind: 'commit' } as const]) {
      this.addRaw(formatEntry({ ...entry, time: this.time } as Entry));
    }
    this.time += 1_000;
    return this;
  }

  /** Appends bytes as they are. */
  addRaw(...entries: Uint8Array[]): this {
    this.entries.push(...entries);
    this.#leaves.push(...entries.map(leafHash));
    return this;
  }

  /** Appends entries about made-up packages and a commit, up to this size. */
  growTo(size: number): this {
    const missing = size - this.size - 1;
    return this.add(...Array.from({ length: missing }, (_, at) => learned(`package-${this.size + at}`)));
  }

  /** Replaces the log key by a new one, by the root key's word. The next checkpoints are signed by that. */
  async rotate(): Promise<this> {
    const { log, root } = this.keys;
    const next = newSigner(log.name);
    const step = { previous: vkeyOf(log), key: vkeyOf(next) };
    this.add({ kind: 'log-key', ...step, signature: await signLogKey(step, root) });
    this.keys.log = next;
    return this;
  }

  /** The same keys, and the same entries up to `size`: whatever is added then is another history. */
  fork(size: number): SignedLog {
    return new SignedLog(this.keys, this.entries.slice(0, size));
  }

  head(size = this.size): TreeHead {
    return { size, root: rootHash(this.#leaves.slice(0, size)) };
  }

  /** A signed checkpoint of the log as it is, or was. */
  note(size = this.size, signer = this.keys.log): Promise<string> {
    const notes = this.#notes.get(signer) ?? new Map<number, Promise<string>>();
    this.#notes.set(signer, notes);
    const note =
      notes.get(size) ?? this.sign(formatCheckpoint({ origin: LOG_NAME, ...this.head(size), extensions: [] }), signer);
    notes.set(size, note);
    return note;
  }

  /** Any text, signed by the log's key, or another one. */
  sign(text: string, signer = this.keys.log): Promise<string> {
    return signNote(text, [signer]);
  }

  keysNote(): Promise<string> {
    const { log, root, hosts, exchange } = this.keys;
    const text = formatKeysNoteText({ log: vkeyOf(log), root: vkeyOf(root), hosts: vkeyOf(hosts), exchange });
    return signNote(text, [root, log]);
  }

  tile({ level, index, width }: Tile): Uint8Array {
    const leaves = TILE_WIDTH ** level;
    const first = index * TILE_WIDTH;
    return concat(Array.from({ length: width }, (_, at) => this.#subtree(first + at, leaves)));
  }

  /** Asked for with each tile of level 1, so that it is worked out once. */
  #subtree(index: number, leaves: number): Uint8Array {
    const key = `${index} ${leaves}`;
    const hash = this.#subtrees.get(key) ?? rootHash(this.#leaves.slice(index * leaves, (index + 1) * leaves));
    // One that is not full yet changes.
    if ((index + 1) * leaves <= this.size) this.#subtrees.set(key, hash);
    return hash;
  }

  bundle({ index, width }: Bundle): Uint8Array {
    return formatBundle(this.entries.slice(index * TILE_WIDTH, index * TILE_WIDTH + width));
  }
}

/** A `learned` entry; the head is made up. */
export function learned(name: string, head = sha256Hex(utf8(name))): TestEntry {
  return { kind: 'learned', name, head };
}

/** An answer as it may be sent, or tampered with. `body` may never end. */
export type LogReply = {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array | AsyncIterable<Uint8Array>;
};

/** Makes another answer of the honest one; `null` never answers at all. */
export type Lie = (
  honest: LogReply,
  request: IncomingMessage,
  log: SignedLog,
) => LogReply | null | Promise<LogReply | null>;

/** Serves a {@link SignedLog} as an origin or a mirror does, and lies where it is told to. */
export interface LogServer {
  /** Base URL without a slash at the end. */
  readonly url: string;
  /** What is served from now on; feeds are told by {@link publish} only. */
  log: SignedLog;
  /** The checkpoint that is shown instead of the log's newest; null for that. */
  shown: string | null;
  /** Requests so far, as `<method> <path>`, in order. */
  readonly asked: string[];
  /** The headers of the requests so far, beside {@link asked}. */
  readonly headers: IncomingMessage['headers'][];
  /** Answers what matches with something else until {@link beHonest}. The path begins behind `/-/federation/`. */
  lie(matches: RegExp, lie: Lie): void;
  beHonest(): void;
  /** Sends the newest checkpoint, or this note, to all open feeds. */
  publish(note?: string): Promise<void>;
  /** Sends these bytes to all open feeds. */
  tell(bytes: string | Uint8Array): void;
  /** Ends all open feeds. */
  endFeeds(): void;
  /** Resolves when so many feeds are open. */
  feeds(count: number): Promise<void>;
  /** Answers requests for anything else, such as packages; without it they are 404. */
  other: ((request: IncomingMessage) => LogReply | Promise<LogReply>) | null;
  close(): Promise<void>;
}

/** Starts one on a free port of 127.0.0.1; it ends with the test at the latest. */
export async function serveLog(t: Pick<TestContext, 'after'>, log: SignedLog, port = 0): Promise<LogServer> {
  const lies: { matches: RegExp; lie: Lie }[] = [];
  const feeds = new Set<ServerResponse>();
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    served.asked.push(`${request.method} ${request.url}`);
    served.headers.push(request.headers);
    answer(request, response).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').replace(/^\/-\/federation\//, '').replace(/\?.*$/, '');
    const lie = lies.find(({ matches }) => matches.test(path));
    if (path === 'changes' && !lie) return openFeed(response);
    const honest = await honestReply(path, request);
    const reply = lie ? await lie.lie(honest, request, served.log) : honest;
    if (reply) await send(reply, request, response);
  }

  async function openFeed(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': ping\n\n');
    feeds.add(response);
    response.once('close', () => feeds.delete(response));
    for (const look of waiting) look();
  }

  async function honestReply(path: string, request: IncomingMessage): Promise<LogReply> {
    const { log, shown } = served;
    if (path === 'checkpoint') return reply(shown ?? (await log.note()), 'text/plain; charset=utf-8');
    if (path === 'keys') return reply(await log.keysNote(), 'text/plain; charset=utf-8');
    const found = path.startsWith('tile/') ? parseTilePath(path.slice(5).split('/')) : null;
    if (found) return tileReply(log, found, request);
    return (await served.other?.(request)) ?? { status: 404, headers: {}, body: utf8('{"error":"not found"}') };
  }

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const served: LogServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ log, shown: null, asked: [], headers: [], other: null },
    lie: (matches, lie) => void lies.unshift({ matches, lie }),
    beHonest: () => void lies.splice(0),
    publish: async (note) => {
      const told = note ?? served.shown ?? (await served.log.note());
      for (const feed of feeds) feed.write(formatFeedEvent(checkpointEvent(served.log.size, told)));
    },
    tell: (bytes) => {
      for (const feed of feeds) feed.write(bytes);
    },
    endFeeds: () => {
      for (const feed of feeds) feed.end();
    },
    feeds: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (feeds.size < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close().closeAllConnections();
      await closed;
    },
  };
  t.after(() => served.close());
  return served;
}

function reply(body: string | Uint8Array, type: string): LogReply {
  return { status: 200, headers: { 'content-type': type }, body: typeof body === 'string' ? utf8(body) : body };
}

function tileReply(
  log: SignedLog,
  found: Exclude<ReturnType<typeof parseTilePath>, null>,
  request: IncomingMessage,
): LogReply {
  const [level, { index, width }] = found.kind === 'hashes' ? [found.tile.level, found.tile] : [0, found.bundle];
  if ((index * TILE_WIDTH + width) * TILE_WIDTH ** level > log.size)
    return { status: 404, headers: {}, body: utf8('') };
  if (found.kind === 'hashes') return reply(log.tile(found.tile), 'application/octet-stream');
  const bytes = log.bundle(found.bundle);
  const zips = /gzip/.test(String(request.headers['accept-encoding']));
  const type = 'application/octet-stream';
  return zips
    ? { status: 200, headers: { 'content-type': type, 'content-encoding': 'gzip' }, body: gzipSync(bytes) }
    : reply(bytes, type);
}

async function send(
  { status, headers, body }: LogReply,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isWhole = body instanceof Uint8Array;
  response.writeHead(status, isWhole ? { ...headers, 'content-length': String(body.length) } : headers);
  if (request.method === 'HEAD') return void response.end();
  if (isWhole) return void response.end(body);
  await pipeline(Readable.from(body), response);
}
