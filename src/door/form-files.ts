/**
 * Compressed packuments on disk: one file per package, kind, door and coding, replaced when the package changes. It names
 * the form that it holds and carries a SHA-256, so that a rotten one is noticed and made again rather than served.
 *
 * With a disk budget those that were not read for the longest time go first; after a restart, those that were made first.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { FormKind } from '../core/assembly.ts';
import { concat, equal, text, utf8 } from '../core/bytes.ts';
import { SHA256_BYTES, sha256, sha256Hex } from '../core/hash.ts';
import { DiskBudget } from '../io/disk-budget.ts';
import { TEMP_SUFFIX, tempPathFor } from '../io/durable-file.ts';
import type { SharedBudget } from '../io/shared-budget.ts';

/** Which file: its name has no more than a hash of this. */
export type FormPlace = {
  readonly name: string;
  readonly kind: FormKind;
  readonly base: string;
  readonly coding: string;
};

const HEX_LENGTH = 64;

export class FormFiles {
  readonly #folder: string;
  readonly #shared: SharedBudget | null;
  readonly #budget: DiskBudget | null;
  readonly #learned: Promise<void>;
  readonly #note: (error: unknown) => void;
  readonly #writing = new Set<Promise<void>>();

  /** @param note told of each file that could not be written */
  constructor(folder: string, shared: SharedBudget | null, note: (error: unknown) => void) {
    this.#folder = folder;
    this.#shared = shared;
    this.#note = note;
    const bytesMax = () => shared?.shares.forms ?? 0;
    const evict = (key: string) => rm(join(folder, key), { force: true });
    const budget = shared && new DiskBudget({ bytesMax, evict, now: Date.now });
    this.#budget = budget;
    if (budget) shared.addTaker(() => budget.bytes);
    this.#learned = budget ? budget.learn(filesIn(folder)).catch(note) : Promise.resolve();
  }

  /** @param form sha256 (hex) of the form that it should hold; null if it holds another one, or is not there */
  async load(place: FormPlace, form: string): Promise<Uint8Array | null> {
    const key = keyOf(place);
    this.#budget?.used(key);
    const file = await readFile(join(this.#folder, key)).catch(() => null);
    if (!file || file.length < SHA256_BYTES + HEX_LENGTH) return null;
    const rest = file.subarray(SHA256_BYTES);
    if (!equal(sha256(rest), file.subarray(0, SHA256_BYTES))) return null;
    return text(rest.subarray(0, HEX_LENGTH)) === form ? rest.subarray(HEX_LENGTH) : null;
  }

  /** In the background. */
  save(place: FormPlace, form: string, bytes: Uint8Array): void {
    const written = this.#save(keyOf(place), form, bytes).catch(this.#note);
    this.#writing.add(written);
    void written.finally(() => this.#writing.delete(written));
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await Promise.all([this.#learned, ...this.#writing]);
  }

  /** Not synced: a file that a crash has torn is noticed by its hash. */
  async #save(key: string, form: string, bytes: Uint8Array): Promise<void> {
    // What was left half-written lies under names like those that are written now.
    await this.#learned;
    const rest = concat([utf8(form), bytes]);
    const size = SHA256_BYTES + rest.length;
    if (this.#shared && size > this.#shared.shares.forms) return;
    const path = join(this.#folder, key);
    const temp = tempPathFor(path);
    const release = this.#budget?.hold(key);
    try {
      await this.#budget?.admit(key, size);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(temp, concat([sha256(rest), rest]), { mode: 0o600 });
      await rename(temp, path);
    } catch (error) {
      this.#budget?.removed(key);
      await rm(temp, { force: true });
      throw error;
    } finally {
      release?.();
    }
    await this.#shared?.grown();
  }
}

function keyOf({ name, kind, base, coding }: FormPlace): string {
  const hash = sha256Hex(utf8(JSON.stringify([name, kind, base, coding])));
  return join(hash.slice(0, 2), hash.slice(2));
}

/** What lies there, without what was left half-written, which is removed. */
async function* filesIn(folder: string): AsyncGenerator<{ key: string; size: number; used: number }> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    if (entry.name.endsWith(TEMP_SUFFIX)) {
      await rm(path, { force: true });
      continue;
    }
    const facts = await stat(path).catch(() => null);
    if (facts) yield { key: relative(folder, path), size: facts.size, used: facts.mtimeMs };
  }
}
