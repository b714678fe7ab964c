/** Checks of what a mirror with a door keeps of packages: each that it shows is whole, and is what its origin named. */
import { MalformedError } from './errors.ts';
import { parseHead } from './head.ts';
import { type IndexReader, rowsOf, verifyForms } from './verify-index.ts';
import { type Check, Tally } from './verify-report.ts';

/** Every package's head is about it, and both forms can be made of what is stored. */
export async function verifyFollowed(reader: Pick<IndexReader, 'scan' | 'blob'>): Promise<Check> {
  const tally = new Tally('packages');
  for await (const { key: name, row } of rowsOf(reader, 'followed')) {
    tally.count('package');
    const hash = row.head;
    if (hash === null) continue;
    await tally.attempt(name, async () => {
      const head = parseHead(await reader.blob(hash));
      if (head.name !== name) throw new MalformedError('head', `it is about ${head.name}`);
      await verifyForms(head, reader);
      tally.count('head');
    });
  }
  return tally.result('pages and both forms as their heads say');
}
