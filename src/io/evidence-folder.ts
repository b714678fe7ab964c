/** Notes that prove something against someone, kept durably as files, one for each. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { utf8 } from '../core/bytes.ts';
import { NOTE_BYTES_MAX } from '../core/limits.ts';
import { ignoreMissing, makeFolder, readBounded, writeDurably } from './durable-file.ts';

export type EvidenceFolder = {
  /** What is kept, in the order of the files' names. */
  all(): Promise<Uint8Array[]>;
  /**
   * Keeps a note under a file name that the caller derives from what it says. Harmless if it is there.
   * @returns the path
   */
  keep(name: string, note: Uint8Array | string): Promise<string>;
};

/**
 * @param folder made when there is something to keep; operators may lay other things there
 * @param suffix that the names of what is kept end in: `.note`
 */
export function createEvidenceFolder(folder: string, suffix: string): EvidenceFolder {
  return {
    async all() {
      const names = ((await readdir(folder).catch(ignoreMissing)) ?? []).filter((name) => name.endsWith(suffix));
      const notes = await Promise.all(names.sort().map((name) => readBounded(join(folder, name), NOTE_BYTES_MAX)));
      return notes.filter((note) => note !== null);
    },
    async keep(name, note) {
      await makeFolder(folder);
      const path = join(folder, name);
      await writeDurably(path, typeof note === 'string' ? utf8(note) : note);
      return path;
    },
  };
}
