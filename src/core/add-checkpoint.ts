/**
 * How a log has a witness cosign its newest checkpoint, as in C2SP tlog-witness (https://c2sp.org/tlog-witness,
 * `add-checkpoint`): the body of the request, and what the witness decides.
 *
 *     old <size of the checkpoint that the witness cosigned last>
 *     <base64 of a hash of the consistency proof>     (none or more lines)
 *
 *     <the checkpoint, a signed note>
 */

import { text as textOf } from './bytes.ts';
import { type Checkpoint, hashField, openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { MalformedError, ProofError, SignatureError } from './errors.ts';
import { number, readValue, showValue, unexpected } from './fields.ts';
import { ADD_CHECKPOINT_BYTES_MAX, CONSISTENCY_HASHES_MAX } from './limits.ts';
import { checkConsistency, rootHash, type TreeHead } from './merkle.ts';
import { splitNote } from './note.ts';

/** A request to cosign. */
export type AddCheckpoint = {
  /** Size of the tree that the proof begins with. */
  readonly oldSize: number;
  /** Consistency proof from there to the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The checkpoint. */
  readonly note: string;
};

/** What a witness knows of a log. */
export type WitnessedLog = {
  /** The log's keys (signature type 0x01), of which one must have signed. */
  readonly vkeys: readonly string[];
  /** The head that the witness cosigned last; null if it never did. */
  readonly latest: TreeHead | null;
};

/** The witness's answer, by its HTTP status. */
export type AddCheckpointDecision =
  | {
      /** The caller stores the checkpoint, durably and only if `latest` still is what it was, then cosigns the text. */
      readonly status: 200;
      readonly checkpoint: Checkpoint;
      readonly text: string;
      readonly note: string;
    }
  | {
      /** The body of the answer is the size and a line feed, its type {@link TLOG_SIZE_TYPE}. */
      readonly status: 409;
      readonly reason: string;
      readonly size: number;
    }
  | { readonly status: 400 | 403 | 404 | 422; readonly reason: string };

/** Content type of a 409. */
export const TLOG_SIZE_TYPE = 'text/x.tlog.size';

const FORMAT = 'add-checkpoint request';
const EMPTY_HEAD: TreeHead = { size: 0, root: rootHash([]) };

/** The body of the request. */
export function formatAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): string {
  checkHashes(proof.length);
  const lines = [
    `old ${showValue(FORMAT, 'the old size', number, oldSize)}`,
    ...proof.map((hash) => showValue(FORMAT, 'a hash of the proof', hashField, hash)),
  ];
  return `${lines.join('\n')}\n\n${note}`;
}

/**
 * Reads the body of a request. That the note is one, too, shows when it is opened.
 * @throws MalformedError for everything that {@link formatAddCheckpoint} would not print
 */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  if (body.length > ADD_CHECKPOINT_BYTES_MAX) {
    throw new MalformedError(FORMAT, `${body.length} bytes, at most ${ADD_CHECKPOINT_BYTES_MAX} are allowed`);
  }
  const whole = textOf(body, FORMAT);
  const end = whole.indexOf('\n\n');
  if (end < 0) throw new MalformedError(FORMAT, 'no empty line stands between the proof and the checkpoint');
  const [old = '', ...hashes] = whole.slice(0, end).split('\n');
  if (!old.startsWith('old ')) throw unexpected(FORMAT, '"old …"', old, 1);
  checkHashes(hashes.length);
  return {
    oldSize: readValue(FORMAT, 'the old size', number, old.slice('old '.length), 1),
    proof: hashes.map((hash, at) => readValue(FORMAT, 'the hash', hashField, hash, 2 + at)),
    note: whole.slice(end + 2),
  };
}

/**
 * What a witness answers to a request. Decides only: storing must be one step with comparing what is stored to the
 * `latest` that was looked up here, or two requests at once could roll the witness back.
 * @param logOf what the witness knows of the log with this origin line, null if nothing
 */
export function decideAddCheckpoint(
  body: Uint8Array,
  logOf: (origin: string) => WitnessedLog | null,
): AddCheckpointDecision {
  try {
    const request = parseAddCheckpoint(body);
    const { origin } = parseCheckpoint(splitNote(request.note).text);
    const log = logOf(origin);
    if (log === null) return { status: 404, reason: 'this witness does not know that log' };
    const { checkpoint, text } = openCheckpoint(request.note, log.vkeys, origin);
    return decide(request, { checkpoint, text }, log.latest ?? EMPTY_HEAD);
  } catch (error) {
    if (error instanceof MalformedError) return { status: 400, reason: error.message };
    if (error instanceof SignatureError) return { status: 403, reason: error.message };
    if (error instanceof ProofError) return { status: 422, reason: error.message };
    throw error;
  }
}

function decide(
  { oldSize, proof, note }: AddCheckpoint,
  { checkpoint, text }: { checkpoint: Checkpoint; text: string },
  latest: TreeHead,
): AddCheckpointDecision {
  if (oldSize > checkpoint.size) {
    return { status: 400, reason: `the old size ${oldSize} is above that of the checkpoint, ${checkpoint.size}` };
  }
  if (oldSize !== latest.size) {
    return { status: 409, reason: `cosigned last was size ${latest.size}, not ${oldSize}`, size: latest.size };
  }
  checkConsistency(proof, latest, checkpoint);
  return { status: 200, checkpoint, text, note };
}

function checkHashes(count: number): void {
  if (count <= CONSISTENCY_HASHES_MAX) return;
  throw new MalformedError(FORMAT, `${count} hashes, at most ${CONSISTENCY_HASHES_MAX} are allowed`);
}
