/** Packuments as documents of a change, for followers that ask for them. */
import { buffer } from 'node:stream/consumers';
import { concat, utf8 } from '../../core/bytes.ts';
import { type PackageChange, revOf, showChange } from '../../core/npm-changes.ts';
import type { Forms } from '../../door/forms.ts';
import { MissingBlobError } from '../../io/stored-blob.ts';
import type { PackageIndex } from '../index/package-index.ts';

export type ChangeDocs = {
  /**
   * A change as one line of JSON with its document, as the package stands now; `null` stands there where there is none
   * any more. No line feed in it or after it.
   * @param base URL that tarball URLs begin with, without a slash at its end
   */
  line(change: PackageChange, base: string): Promise<Uint8Array>;
};

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;

export function createChangeDocs({ index, forms }: { index: PackageIndex; forms: Forms }): ChangeDocs {
  async function packument(name: string, base: string): Promise<Uint8Array | null> {
    const { head, headHash } = await index.get(name);
    if (head === null || headHash === null) return null;
    const form = oneLine(await buffer(await forms.plain('full', head, base)));
    // The form is a JSON object; what a database would add to it goes in front.
    return concat([utf8(`{${identity(name, revOf(head.seq, headHash))},`), form.subarray(1)]);
  }

  async function documentOf({ id, rev, deleted }: PackageChange, base: string): Promise<Uint8Array> {
    if (deleted) return utf8(`{${identity(id, rev)},"_deleted":true}`);
    const made = packument(id, base).catch((error) => {
      if (error instanceof MissingBlobError) return null;
      throw error;
    });
    return (await made) ?? utf8('null');
  }

  return {
    line: async (change, base) => {
      const line = showChange(change);
      return concat([utf8(`${line.slice(0, -1)},"doc":`), await documentOf(change, base), utf8('}')]);
    },
  };
}

const identity = (name: string, rev: string): string => `"_id":${JSON.stringify(name)},"_rev":${JSON.stringify(rev)}`;

/** Line breaks in JSON stand between its parts only, where a space is as good. */
function oneLine(json: Uint8Array): Uint8Array {
  for (const breaking of [LINE_FEED, CARRIAGE_RETURN]) {
    for (let at = json.indexOf(breaking); at >= 0; at = json.indexOf(breaking, at + 1)) json[at] = SPACE;
  }
  return json;
}
