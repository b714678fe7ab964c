/**
 * Checkpoints that the log's key signed and that could not be followed: nobody gave what proves them, or another one was
 * followed first. They are remembered until the log that is held is as long as they are, and then judged: an origin that
 * shows somebody another history must not go free because that one stayed out of reach.
 */
import { splitNote } from '../../core/note.ts';
import { change } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { type HeldCheckpoint, readHeld } from './held-log.ts';

/** One of them, and who showed it: `origin`, `peer 1`, `a visitor`. */
export type Unproven = { readonly seen: HeldCheckpoint; readonly source: string };

export type UnprovenKeeper = {
  /** Remembers one durably; once for each tree. */
  keep(one: Unproven): Promise<void>;
  /** Those of at most so many entries. */
  upTo(size: number): readonly Unproven[];
  /** Forgets those of at most so many entries, which were judged. */
  forget(size: number): Promise<void>;
};

const SETTING = 'checkpoints-unproven';
/** The smallest, which are judged first: one proof convicts, and a key gone wild could sign any number. */
const KEPT_MAX = 16;

export async function openUnproven(metadata: Pick<MetadataStore, 'get' | 'write'>): Promise<UnprovenKeeper> {
  const row = await metadata.get('setting', SETTING);
  const stored = row === null ? [] : (JSON.parse(row.value) as { note: string; source: string }[]);
  let kept: readonly Unproven[] = stored.map(({ note, source }) => ({ seen: readHeld(note), source }));

  async function store(next: readonly Unproven[]): Promise<void> {
    const value = JSON.stringify(next.map(({ seen: { note }, source }) => ({ note, source })));
    await metadata.write([change('setting', SETTING, { value })]);
    kept = next;
  }

  return {
    async keep(one) {
      const text = textOf(one);
      if (kept.some((known) => textOf(known) === text)) return;
      const next = [...kept, one].sort((a, b) => sizeOf(a) - sizeOf(b)).slice(0, KEPT_MAX);
      if (next.includes(one)) await store(next);
    },
    upTo: (size) => kept.filter((one) => sizeOf(one) <= size),
    async forget(size) {
      const next = kept.filter((one) => sizeOf(one) > size);
      if (next.length < kept.length) await store(next);
    },
  };
}

const sizeOf = ({ seen }: Unproven): number => seen.checkpoint.size;

/** Without the signatures, of which a stranger can add any number. */
const textOf = ({ seen }: Unproven): string => splitNote(seen.note).text;
