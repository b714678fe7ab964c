/** Checks of what a mirror keeps of packages: each head that it holds is the one that the log names, and is whole. */

import { MalformedError } from './errors.ts';
import { parseHead } from './head.ts';
import { type IndexReader, rowsOf } from './index-reader.ts';
import { verifyForms } from './verify-index.ts';
import { type Check, Tally } from './verify-report.ts';

/** `holds`: whether a blob is there at all. A head is stored last, so what it is made of must be there, too. */
export type HeadsReader = Pick<IndexReader, 'get' | 'scan' | 'blob'> & {
  readonly holds: (sha256: string) => Promise<boolean>;
};

/**
 * Every head that is held is about its name, and both forms can be made of what is stored. Others are counted, and so is
 * one that a running mirror let go while it was looked at.
 */
export async function verifyHeads(reader: HeadsReader): Promise<Check> {
  const tally = new Tally('packages');
  let absent = 0;
  for await (const { key: name, row } of rowsOf(reader, 'name')) {
    tally.count('package');
    const hash = row.head;
    if (hash === null) continue;
    const isKept = async () => (await reader.holds(hash)) || (await reader.get('followed', name))?.head === hash;
    if (!(await isKept())) {
      absent += 1;
      continue;
    }
    await tally.attempt(name, async () => {
      try {
        await verifyHead(name, hash, reader);
        tally.count('head');
      } catch (error) {
        if (await isKept()) throw error;
        absent += 1;
      }
    });
  }
  if (absent > 0) tally.note(`not kept here: ${absent.toLocaleString('en')} of the heads that the log names`);
  return tally.result('pages and both forms as their heads say');
}

async function verifyHead(name: string, hash: string, reader: HeadsReader): Promise<void> {
  const head = parseHead(await reader.blob(hash));
  if (head.name !== name) throw new MalformedError('head', `it is about ${head.name}`);
  await verifyForms(head, reader);
}
