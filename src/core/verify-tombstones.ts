/** Checks of what a mirror has to hold no more: none of the tarballs that it buried is there. */

import { type IndexReader, rowsOf } from './index-reader.ts';
import { type Check, Tally } from './verify-report.ts';
import { BURYING_SETTING } from './withdrawal-progress.ts';

/** @param holds whether the tarball with that sha512 is there at all */
export async function verifyTombstones(
  reader: Pick<IndexReader, 'get' | 'scan'>,
  holds: (sha512: string) => Promise<boolean>,
): Promise<Check> {
  const tally = new Tally('withdrawn');
  for await (const { key: sha512 } of rowsOf(reader, 'tombstone')) {
    await tally.attempt(`sha512:${sha512}`, async () => {
      // A tarball that comes back while we look is there a moment before its tombstone goes.
      if (!(await holds(sha512)) || !(await reader.get('tombstone', sha512))) tally.count('tombstone');
      else if (await isBeingBuried(reader, sha512)) tally.note(`${sha512} is to be removed; the next start does that`);
      else throw new Error('it was withdrawn, and is still held');
    });
  }
  return tally.result('nothing of it is held');
}

async function isBeingBuried(reader: Pick<IndexReader, 'get'>, sha512: string): Promise<boolean> {
  const row = await reader.get('setting', BURYING_SETTING);
  return row !== null && (JSON.parse(row.value) as string[]).includes(sha512);
}
