/**
 * Forms: packuments as they are sent, assembled from blobs for a door and kept compressed.
 *
 * A cache: everything in it can be made again from the head. There is one file per package, kind, door and coding,
 * replaced when the package changes; it names the form that it holds and carries a SHA-256, so that a rotten one is noticed and made
 * again rather than served.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, type Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createGunzip, createGzip, createZstdCompress } from 'node:zlib';
import { type FormKind, formParts } from '../core/assembly.ts';
import { concat, equal, text, utf8 } from '../core/bytes.ts';
import { SHA256_BYTES, sha256, sha256Hex } from '../core/hash.ts';
import type { Head } from '../core/head.ts';
import { readPages } from '../core/pages.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { tempPathFor } from '../io/durable-file.ts';
import { createGate } from '../io/gate.ts';
import { oneFlight } from '../io/one-flight.ts';
import { storedBlob } from '../io/stored-blob.ts';
import { inTurns, Turn } from '../io/turn.ts';

/** Content codings that forms are kept in, the one that is best to send first. */
export const FORM_CODINGS = ['zstd', 'br', 'gzip'] as const;
export type FormCoding = (typeof FORM_CODINGS)[number];

export type Forms = {
  /** A form with the base URL `base`, compressed. */
  compressed(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array>;
  /** The same for the few clients that take no coding. */
  plain(kind: FormKind, head: Head, base: string): Promise<AsyncIterable<Uint8Array>>;
  /** Resolves when nothing is being written. */
  idle(): Promise<void>;
};

/**
 * Levels that cost about what gzip's usual one does: a form is made while its first client waits. Those that know how many
 * bytes come take less memory for few.
 */
const COMPRESSORS = {
  zstd: (bytes) => createZstdCompress({ pledgedSrcSize: bytes, params: { [constants.ZSTD_c_compressionLevel]: 5 } }),
  br: (bytes) =>
    createBrotliCompress({
      params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_SIZE_HINT]: bytes },
    }),
  gzip: () => createGzip(),
} as const satisfies Record<FormCoding, (bytes: number) => Transform>;

const HEX_LENGTH = 64;
/** Small: a form that is not in memory is read from the disk in less than a millisecond. */
const MEMORY_BYTES_MAX = 8 * 1024 * 1024;
/** Forms that are made at the same time: a compressor takes up to some megabytes. */
const MAKING_MAX = 4;
/** What is handed to a compressor at once. */
const PIECE_BYTES = 64 * 1024;

/** Size in bytes of a form with base URL `base`: the empty-base form plus one base per version. */
export function formSize(kind: FormKind, head: Head, base: string): number {
  const escaped = utf8(JSON.stringify(base)).length - 2;
  return head[kind].size + head.versions.count * escaped;
}

export function createForms(deps: { folder: string; blobs: BlobStore; note: (error: unknown) => void }): Forms {
  const { folder, blobs, note } = deps;
  const memory = new FormMemory(MEMORY_BYTES_MAX);
  const making = new Map<string, Promise<Uint8Array>>();
  const gate = createGate(MAKING_MAX);
  const writing = new Set<Promise<void>>();

  const pathOf = (kind: FormKind, name: string, base: string, coding: FormCoding) => {
    const key = sha256Hex(utf8(JSON.stringify([name, kind, base, coding])));
    return join(folder, key.slice(0, 2), key.slice(2));
  };

  /** Not `pipe`: a blob that can't be read has to fail this form alone, not the process. */
  async function make(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array> {
    const compressor = COMPRESSORS[coding](formSize(kind, head, base));
    const bytes = inPieces(formBytes(kind, head, base, blobs));
    return pipeline(bytes, compressor, async (compressed: Readable) => exactly(await buffer(compressed)));
  }

  async function loadOrMake(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array> {
    const path = pathOf(kind, head.name, base, coding);
    const stored = await load(path, head[kind].sha256);
    if (stored) return stored;
    const made = await gate(() => make(kind, head, base, coding));
    const written = save(path, head[kind].sha256, made).catch(note);
    writing.add(written);
    written.finally(() => writing.delete(written));
    return made;
  }

  async function compressed(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array> {
    const key = `${head[kind].sha256} ${kind} ${coding} ${base}`;
    const kept = memory.get(key);
    if (kept) return kept;
    const form = await oneFlight(making, key, () => loadOrMake(kind, head, base, coding));
    memory.set(key, form);
    return form;
  }

  return {
    compressed,
    plain: async (kind, head, base) => Readable.from([await compressed(kind, head, base, 'gzip')]).pipe(createGunzip()),
    idle: async () => {
      await Promise.all(writing);
    },
  };
}

/** The forms used last, up to a number of bytes. */
class FormMemory {
  readonly #forms = new Map<string, Uint8Array>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Uint8Array | undefined {
    const form = this.#forms.get(key);
    if (form) {
      this.#forms.delete(key);
      this.#forms.set(key, form);
    }
    return form;
  }

  set(key: string, form: Uint8Array): void {
    if (this.#forms.has(key) || form.length > this.#bytesMax / 4) return;
    this.#forms.set(key, form);
    this.#bytes += form.length;
    for (const [oldest, bytes] of this.#forms) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#forms.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}

/** A copy unless it is the whole of its memory: a piece of a larger one would keep all of it. */
function exactly(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

async function load(path: string, form: string): Promise<Uint8Array | null> {
  const file = await readFile(path).catch(() => null);
  if (!file || file.length < SHA256_BYTES + HEX_LENGTH) return null;
  const rest = file.subarray(SHA256_BYTES);
  if (!equal(sha256(rest), file.subarray(0, SHA256_BYTES))) return null;
  return text(rest.subarray(0, HEX_LENGTH)) === form ? rest.subarray(HEX_LENGTH) : null;
}

/** Not synced: a file that a crash has torn is noticed by its hash. */
async function save(path: string, form: string, bytes: Uint8Array): Promise<void> {
  const rest = concat([utf8(form), bytes]);
  const temp = tempPathFor(path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(temp, concat([sha256(rest), rest]), { mode: 0o600 });
  await rename(temp, path);
}

/** The bytes of a form, blob by blob. Gives way to the event loop. */
async function* formBytes(kind: FormKind, head: Head, base: string, blobs: BlobStore): AsyncGenerator<Uint8Array> {
  const turn = new Turn();
  const read = (hex: string) => storedBlob(blobs, hex, head.name);
  const entries = await inTurns(readPages(head, await Promise.all(head.pages.map(read))), turn);
  const parts = { name: head.name, tags: await read(head.tags), top: await read(head.top), entries };
  for (const part of formParts(kind, parts, base)) {
    if (turn.isSpent()) await turn.give();
    if ('bytes' in part) {
      yield part.bytes;
      continue;
    }
    const bytes = await read(part.blob);
    yield bytes.subarray(0, part.cut);
    yield part.insert;
    yield bytes.subarray(part.cut);
  }
}

async function* inPieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let piece: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of source) {
    piece.push(bytes);
    length += bytes.length;
    if (length < PIECE_BYTES) continue;
    yield concat(piece);
    piece = [];
    length = 0;
  }
  if (length > 0) yield concat(piece);
}
