/**
 * Reading a log from one server, its origin or another mirror: notes, tiles, entry bundles. What comes back is bounded in
 * size and time, and not yet believed.
 */

import { text } from '../../core/bytes.ts';
import { BUNDLE_BYTES_MAX, parseBundle } from '../../core/entry-bundle.ts';
import { UpstreamError, WrongTileError } from '../../core/errors.ts';
import { SHA256_BYTES } from '../../core/hash.ts';
import { BUNDLE_ROOMS, CHECKPOINT_BYTES_MAX, NOTE_BYTES_MAX } from '../../core/limits.ts';
import { type Bundle, bundlePath, TILE_WIDTH, type Tile, tilePath } from '../../core/tile.ts';
import { createBodyRooms, type Room } from '../../io/body-rooms.ts';
import type { HttpClient } from '../../io/http-client.ts';

/** Where a log is read from. All methods throw UpstreamError or UpstreamTimeoutError if it does not answer as it should. */
export type LogSource = {
  /** For logs and metrics, which are public: `origin`, `peer 1`. */
  readonly name: string;
  /** Base URL. */
  readonly url: string;
  /** Its newest checkpoint, a signed note. */
  checkpoint(): Promise<string>;
  /** The keys note of its origin. */
  keys(): Promise<Uint8Array>;
  tile(tile: Tile): Promise<Uint8Array>;
  /** @throws WrongTileError if what came is no bundle of that width */
  entries(bundle: Bundle): Promise<Uint8Array[]>;
  /** The same source for as long as this signal lets it: requests that are under way when it aborts end then, too. */
  until(signal: AbortSignal): LogSource;
};

/** ms. What a tile may take bounds how slow a source may be before the next one is tried. */
export type SourceTimes = { readonly noteTimeoutMs: number; readonly tileTimeoutMs: number };
export const SOURCE_TIMES: SourceTimes = { noteTimeoutMs: 5_000, tileTimeoutMs: 15_000 };

export type LogSourceDeps = {
  readonly name: string;
  readonly url: string;
  readonly client: Pick<HttpClient, 'request'>;
  readonly times: SourceTimes;
  readonly signal: AbortSignal;
};

/** Both, as C2SP tlog-tiles wants it of clients; any server of ours then takes gzip. */
const CODINGS = 'gzip, identity';

export function createLogSource(deps: LogSourceDeps): LogSource {
  return sourceWith(deps, createBodyRooms(BUNDLE_ROOMS));
}

function sourceWith(deps: LogSourceDeps, rooms: ReturnType<typeof createBodyRooms>): LogSource {
  const { name, url, client, times, signal } = deps;

  /** Null if there is no such thing. */
  async function ask(path: string, maxBytes: number, totalTimeoutMs: number, room?: Room): Promise<Uint8Array | null> {
    const what = `${path} of ${url}`;
    const headers = { 'accept-encoding': CODINGS };
    const { status, body } = await client.request(`${url}/-/federation/${path}`, {
      ...{ headers, maxBytes, totalTimeoutMs, signal, what, room },
    });
    if (status === 200) return body;
    if (status === 404) return null;
    throw new UpstreamError({ what, reason: `it answered with status ${status}` });
  }

  async function note(path: string, maxBytes: number): Promise<Uint8Array> {
    const found = await ask(path, maxBytes, times.noteTimeoutMs);
    if (found) return found;
    throw new UpstreamError({ what: `${path} of ${url}`, reason: 'it has none' });
  }

  /** A partial tile may have gone once the full one is there (C2SP tlog-tiles, "Partial tiles"). */
  async function tileOrFull(
    path: string,
    full: string,
    maxBytes: number,
    room?: Room,
  ): Promise<{ bytes: Uint8Array; isFull: boolean }> {
    const found = await ask(path, maxBytes, times.tileTimeoutMs, room);
    if (found) return { bytes: found, isFull: path === full };
    const whole = path === full ? null : await ask(full, maxBytes, times.tileTimeoutMs, room);
    if (whole) return { bytes: whole, isFull: true };
    throw new UpstreamError({ what: `${path} of ${url}`, reason: 'it has no such tile' });
  }

  async function bundle({ index, width }: Bundle, room: Room): Promise<Uint8Array[]> {
    const path = bundlePath({ index, width });
    const full = bundlePath({ index, width: TILE_WIDTH });
    const { bytes, isFull } = await tileOrFull(path, full, BUNDLE_BYTES_MAX, room);
    try {
      return parseBundle(bytes, isFull ? TILE_WIDTH : width).slice(0, width);
    } catch (cause) {
      throw new WrongTileError({ paths: [path], reason: `what ${url} sent is no bundle` }, { cause });
    }
  }

  return {
    name,
    url,
    checkpoint: async () => text(await note('checkpoint', CHECKPOINT_BYTES_MAX), 'checkpoint'),
    keys: () => note('keys', NOTE_BYTES_MAX),
    async tile(tile) {
      const path = tilePath(tile);
      const full = tilePath({ ...tile, width: TILE_WIDTH });
      const { bytes, isFull } = await tileOrFull(path, full, TILE_WIDTH * SHA256_BYTES);
      const length = (isFull ? TILE_WIDTH : tile.width) * SHA256_BYTES;
      if (bytes.length === length) return bytes.subarray(0, tile.width * SHA256_BYTES);
      throw new WrongTileError({ paths: [path], reason: `${bytes.length} bytes from ${url} instead of ${length}` });
    },
    entries: (wanted) => rooms((room) => bundle(wanted, room)),
    until: (more) => sourceWith({ ...deps, signal: AbortSignal.any([signal, more]) }, rooms),
  };
}
