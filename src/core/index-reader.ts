/** What checks of an index read: be it a stopped data directory, or a running server's stores. It may grow meanwhile. */

import { KEY_SEPARATOR, type TableName, type Tables } from './tables.ts';

export type IndexReader = {
  /** Entries in the journal, and how many of them the tables have taken in. */
  size(): Promise<number>;
  folded(): Promise<number>;
  entries(from: number, limit: number): Promise<Uint8Array[]>;
  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null>;
  scan<T extends TableName>(
    table: T,
    prefix: string,
    page: { after?: string; limit: number },
  ): Promise<{ key: string; row: Tables[T] }[]>;
  /** A blob, checked against its hash; rejects where it is missing or wrong. */
  blob(sha256: string): Promise<Uint8Array>;
};

/** Entries or rows in memory at once. */
const PAGE = 500;

/** Entries with their places, page by page. */
export async function* entriesOf(
  reader: Pick<IndexReader, 'entries'>,
  from: number,
  to: number,
): AsyncGenerator<[number, Uint8Array]> {
  for (let at = from; at < to; at += PAGE) {
    const page = await reader.entries(at, Math.min(PAGE, to - at));
    for (const [i, bytes] of page.entries()) yield [at + i, bytes];
  }
}

/** All rows of a table, page by page. */
export async function* rowsOf<T extends TableName>(
  reader: Pick<IndexReader, 'scan'>,
  table: T,
): AsyncGenerator<{ key: string; row: Tables[T] }> {
  for (let after: { after?: string } = {}; ; ) {
    const page = await reader.scan(table, '', { ...after, limit: PAGE });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { after: last.key };
  }
}

/** A compound key as people write it: `name@version`. */
export const show = (key: string): string => key.replaceAll(KEY_SEPARATOR, '@');
