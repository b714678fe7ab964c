/**
 * A cosigner: a key with a memory. Of each log it keeps durably what it cosigned last, in a file that is the cosigned
 * checkpoint itself, named by the SHA-256 of the log's name:
 *
 *     cosigned/<cosigner>/<64 hex digits>.note
 *
 * Order: what was decided is compared with what is remembered → cosigned in memory → the file is replaced, which is the
 * commit point → the cosignature is given out. Crash before it: nobody has seen the cosignature. Crash after it: the
 * cosigner remembers one that perhaps nobody has seen.
 *
 * A folder that is restored from a backup takes the memory back, which no cosigner can notice by itself.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text, utf8 } from '../core/bytes.ts';
import { cosign } from '../core/cosignature.ts';
import { type Cosigned, openCosigned } from '../core/cosigned.ts';
import { ConflictError, FederationError, UsageError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { CHECKPOINT_BYTES_MAX } from '../core/limits.ts';
import { addSignatureLines, splitNote } from '../core/note.ts';
import { makeFolder, readBounded, removeTempFiles, writeDurably } from './durable-file.ts';
import type { SigningKey } from './key-file.ts';
import { SerialByKey } from './serial.ts';

export type Cosigner = {
  /** Of signature type 0x04. */
  readonly vkey: string;
  /**
   * What it cosigned last of a log.
   * @param log SHA-256 of the log's name in lower-case hex
   */
  latest(log: string): Cosigned | null;
  /**
   * Cosigns a checkpoint as of now; durable when it resolves. Whether it may be cosigned is for the caller to know: it
   * must be consistent with `expected`.
   * @param note with the log's signatures, which were verified, and no others
   * @param expected what {@link latest} was when the caller decided
   * @throws ConflictError if that has changed since: decide again
   */
  cosign(note: string, expected: Cosigned | null): Promise<Cosigned>;
};

const FILE = /^([0-9a-f]{64})\.note$/;

/** The key under which a cosigner remembers a log. */
export const logHash = (logName: string): string => sha256Hex(utf8(logName));

/**
 * @param dir data directory, whose owner the caller is
 * @param role names the folder: `mirror`, `witness`
 * @param now unix ms
 * @throws UsageError if what is remembered can't be read
 */
export async function openCosigner(dir: string, role: string, key: SigningKey, now: () => number): Promise<Cosigner> {
  const folder = join(dir, 'cosigned', role);
  await makeFolder(folder);
  await removeTempFiles(folder);
  const latest = await readAll(folder, key.vkey);
  const turns = new SerialByKey();

  async function replace(log: string, note: string, expected: Cosigned | null): Promise<Cosigned> {
    const known = latest.get(log) ?? null;
    if (known !== expected) throw new ConflictError('this cosigner has cosigned another checkpoint meanwhile');
    const time = Math.max(1, Math.floor(now() / 1000));
    const { text: signed } = splitNote(note);
    // Times have seconds: the same one again would say nothing new.
    if (known?.text === signed && known.time === time) return known;
    const cosigned = openCosigned(addSignatureLines(note, [await cosign(signed, time, key)]), key.vkey);
    await writeDurably(join(folder, `${log}.note`), utf8(cosigned.note));
    latest.set(log, cosigned);
    return cosigned;
  }

  return {
    vkey: key.vkey,
    latest: (log) => latest.get(log) ?? null,
    cosign: (note, expected) => {
      const log = logHash(note.slice(0, note.indexOf('\n')));
      return turns.run(log, () => replace(log, note, expected));
    },
  };
}

async function readAll(folder: string, vkey: string): Promise<Map<string, Cosigned>> {
  const latest = new Map<string, Cosigned>();
  for (const name of await readdir(folder)) {
    const log = FILE.exec(name)?.[1];
    if (log !== undefined) latest.set(log, await readOne(join(folder, name), log, vkey));
  }
  return latest;
}

async function readOne(path: string, log: string, vkey: string): Promise<Cosigned> {
  try {
    const cosigned = openCosigned(text((await readBounded(path, CHECKPOINT_BYTES_MAX)) ?? new Uint8Array(0)), vkey);
    if (logHash(cosigned.checkpoint.origin) === log) return cosigned;
  } catch (cause) {
    if (!(cause instanceof FederationError)) throw cause;
    throw damaged(path, cause);
  }
  throw damaged(path);
}

/** Going on without it could cosign what excludes an earlier cosignature. */
function damaged(path: string, cause?: Error): UsageError {
  return new UsageError(`${path} is not what the cosigner whose key is here wrote; restore it from a backup`, {
    cause,
  });
}
