/** The log as files, as whoever holds it gives it out: checkpoint, tiles and entry bundles (C2SP tlog-tiles). */
import { gzip } from 'node:zlib';
import { utf8 } from '../core/bytes.ts';
import { formatBundle } from '../core/entry-bundle.ts';
import { NotFoundError, UnavailableError } from '../core/errors.ts';
import { SHA256_BYTES, sha256Hex } from '../core/hash.ts';
import { CACHE, etagOf, negotiateEncoding, planRead } from '../core/http-semantics.ts';
import { type Bundle, bundlePath, parseTilePath, TILE_WIDTH, type Tile, tilePath } from '../core/tile.ts';
import { type Answer, type Incoming, problemAnswer } from '../io/http-server.ts';
import type { MetadataStore } from '../io/metadata-store.ts';

type Asked = Pick<Incoming, 'method' | 'headers'>;

export type LogAnswersDeps = {
  readonly metadata: Pick<MetadataStore, 'tile' | 'entries' | 'head'>;
  /** The newest signed note; null while there is none to show. */
  readonly checkpoint: () => string | null;
};

/**
 * Answers a GET or HEAD for a path under `/-/federation/` for which {@link isLogPath} is true.
 * @throws NotFoundError for what is no path of a tile, and for a tile that the log does not have, or not that wide;
 *   UnavailableError while there is no checkpoint
 */
export type LogAnswers = (asked: Asked, path: readonly string[]) => Promise<Answer>;

/** Whether a path under `/-/federation/` is one of the log's. */
export function isLogPath(path: readonly string[]): boolean {
  return path[0] === 'tile' || (path[0] === 'checkpoint' && path.length === 1);
}

/** Compressed full bundles are kept in memory up to this many bytes: each is asked for by every follower. */
const COMPRESSED_BYTES_MAX = 8 * 1024 * 1024;

export function createLogAnswers(deps: LogAnswersDeps): LogAnswers {
  const compressed = createCompressor();
  return async (asked, path) => {
    if (path[0] === 'checkpoint') return checkpointAnswer(asked, deps.checkpoint());
    const found = parseTilePath(path.slice(1));
    if (!found) throw new NotFoundError(`no log has ${path.join('/')}: see C2SP tlog-tiles for the paths`);
    return found.kind === 'hashes'
      ? tileAnswer(asked, found.tile, deps)
      : bundleAnswer(asked, found.bundle, deps, compressed);
  };
}

function checkpointAnswer({ method, headers }: Asked, note: string | null): Answer {
  if (note === null) throw new UnavailableError('there is no checkpoint to show yet; try again in a moment');
  const body = utf8(note);
  const plan = planRead(method, headers, { etag: etagOf('checkpoint', note), size: body.length, allowRange: false });
  const all = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': CACHE.checkpoint, ...plan.headers };
  return { status: plan.status, headers: all, body: plan.body ? body : null };
}

async function tileAnswer(asked: Asked, tile: Tile, { metadata }: LogAnswersDeps): Promise<Answer> {
  const length = tile.width * SHA256_BYTES;
  const hashes = await metadata.tile(tile.level, tile.index);
  if (!hashes || hashes.length < length) throw notHere(tilePath(tile));
  return immutable(asked, hashes.subarray(0, length), {});
}

async function bundleAnswer(
  asked: Asked,
  bundle: Bundle,
  { metadata }: LogAnswersDeps,
  compressed: Compressor,
): Promise<Answer> {
  const coding = negotiateEncoding(asked.headers['accept-encoding'], ['gzip']);
  if (coding === null) return problemAnswer(406, 'not-acceptable', 'entries are sent as they are or with gzip');
  const from = bundle.index * TILE_WIDTH;
  // A journal may be ahead of its tree while it is mended.
  const isHere = from + bundle.width <= (await metadata.head()).size;
  if (!isHere) throw notHere(bundlePath(bundle));
  const read = async () => formatBundle(await metadata.entries(from, bundle.width));
  if (coding === 'identity') return immutable(asked, await read(), VARY);
  return immutable(asked, await compressed(bundle, read), { ...VARY, 'content-encoding': coding });
}

const VARY = { vary: 'Accept-Encoding' };

/** What a path of a tile means never changes, though a wider one may come. */
function immutable({ method, headers }: Asked, body: Uint8Array, more: Readonly<Record<string, string>>): Answer {
  const plan = planRead(method, headers, { etag: `"${sha256Hex(body)}"`, size: body.length, allowRange: false });
  const all = { 'content-type': 'application/octet-stream', 'cache-control': CACHE.byHash, ...more, ...plan.headers };
  return { status: plan.status, headers: all, body: plan.body ? body : null };
}

const notHere = (path: string) => new NotFoundError(`this log does not have ${path} (yet)`);

type Compressor = (bundle: Bundle, read: () => Promise<Uint8Array>) => Promise<Uint8Array>;

function createCompressor(): Compressor {
  const kept = new Map<number, Uint8Array>();
  let keptBytes = 0;
  const keep = (index: number, bytes: Uint8Array): void => {
    kept.set(index, bytes);
    keptBytes += bytes.length;
    for (const [oldest, { length }] of kept) {
      if (keptBytes <= COMPRESSED_BYTES_MAX) return;
      kept.delete(oldest);
      keptBytes -= length;
    }
  };
  return async ({ index, width }, read) => {
    const known = width === TILE_WIDTH ? kept.get(index) : undefined;
    if (known) return known;
    const packed = await gzipped(await read());
    if (width === TILE_WIDTH && !kept.has(index)) keep(index, packed);
    return packed;
  };
}

function gzipped(bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => gzip(bytes, (error, packed) => (error ? reject(error) : resolve(packed))));
}
