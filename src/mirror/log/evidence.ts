/**
 * Evidence against an origin that signed two histories: both notes, and the proof that they exclude each other, one file
 * for each tree that is not of the history held. Anybody who has the log's verifier key can check it, so it is kept for good.
 */
import { text, toBase64, utf8 } from '../../core/bytes.ts';
import type { SplitViewError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { EVIDENCE_MAX } from '../../core/limits.ts';
import { splitNote } from '../../core/note.ts';
import type { EvidenceFolder } from '../../io/evidence-folder.ts';

/** Two notes of one log that can't both be true. */
export type SplitView = {
  readonly what: string;
  /** ISO 8601: when the second one was seen. */
  readonly at: string;
  /** Who showed the second one: `origin`, `peer 1`, `a visitor`. */
  readonly source: string;
  readonly held: string;
  readonly offered: string;
  /** Consistency proof from the smaller to the larger tree, base64: it leads to another root than the smaller note says. */
  readonly proof: readonly string[];
};

export type EvidenceKeeper = {
  list(): readonly SplitView[];
  /**
   * Keeps a pair of notes durably, once for each tree that was offered.
   * @param at unix ms
   * @returns whether it is new; false, too, when as many are kept as may be
   */
  keep(error: SplitViewError, source: string, at: number): Promise<boolean>;
};

export async function openEvidence(folder: EvidenceFolder): Promise<EvidenceKeeper> {
  const kept = (await folder.all()).map((bytes) => JSON.parse(text(bytes)) as SplitView);
  const known = new Set(kept.map(({ offered }) => idOf(offered)));

  return {
    list: () => kept,
    async keep({ message, notes, proof }, source, at) {
      const [held, offered] = notes;
      const id = idOf(offered);
      if (known.has(id) || kept.length >= EVIDENCE_MAX) return false;
      // Before the first wait: others may show the same one meanwhile.
      known.add(id);
      const view: SplitView = {
        ...{ what: message, at: new Date(at).toISOString(), source, held, offered },
        proof: proof.map(toBase64),
      };
      await folder.keep(`split-view-${id}.json`, `${JSON.stringify(view, null, 2)}\n`).catch((error) => {
        known.delete(id);
        throw error;
      });
      kept.push(view);
      return true;
    },
  };
}

/** Of what is signed: signatures can be added by anyone, and what is held goes on growing. */
function idOf(offered: string): string {
  return sha256Hex(utf8(splitNote(offered).text)).slice(0, 16);
}
