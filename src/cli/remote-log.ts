/** A log that lies on a server, read in order, with some files under way ahead of the one that is asked for. */
import type { TreeHead } from '../core/merkle.ts';
import { TILE_WIDTH } from '../core/tile.ts';
import type { LogReader } from '../core/verify-log.ts';
import type { LogSource } from '../mirror/log/log-source.ts';

/** Files of either kind that are asked for before they are needed. */
const AHEAD = 8;

/** Reads the log as large as `head` says it is; what the server has beyond that is left alone. */
export function remoteLog(source: Pick<LogSource, 'tile' | 'entries'>, head: TreeHead): LogReader {
  const widthOf = (level: number, index: number) =>
    Math.min(TILE_WIDTH, Math.floor(head.size / TILE_WIDTH ** level) - index * TILE_WIDTH);
  const files = Math.ceil(head.size / TILE_WIDTH);
  const bundles = ahead(files, (index) => source.entries({ index, width: widthOf(0, index) }));
  const leaves = ahead(files, (index) => source.tile({ level: 0, index, width: widthOf(0, index) }));
  return {
    size: async () => head.size,
    head: async () => head,
    async entries(from, limit) {
      const index = Math.floor(from / TILE_WIDTH);
      const bundle = await bundles(index);
      return bundle.slice(from - index * TILE_WIDTH, from - index * TILE_WIDTH + limit);
    },
    async tile(level, index) {
      const width = widthOf(level, index);
      if (width <= 0) return null;
      return level === 0 ? leaves(index) : source.tile({ level, index, width });
    },
  };
}

/** Fetches by index, from 0 on, the next ones as well; each is let go when a later one is asked for. */
function ahead<T>(count: number, fetch: (index: number) => Promise<T>): (index: number) => Promise<T> {
  const underWay = new Map<number, Promise<T>>();
  return (index) => {
    for (const earlier of underWay.keys()) if (earlier < index) underWay.delete(earlier);
    for (let next = index; next < Math.min(count, index + AHEAD); next += 1) {
      if (!underWay.has(next)) underWay.set(next, kept(fetch(next)));
    }
    return underWay.get(index) ?? fetch(index);
  };
}

/** Its failure is told to whoever asks for it, if anyone does. */
function kept<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
