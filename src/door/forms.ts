/**
 * Forms: packuments as they are sent, assembled from blobs for a door and kept compressed.
 *
 * A cache: everything in it can be made again from the head. Where they are kept on disk: door/form-files.ts.
 */
import { Readable, type Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createGunzip, createGzip, createZstdCompress } from 'node:zlib';
import { type FormKind, formParts } from '../core/assembly.ts';
import { concat, utf8 } from '../core/bytes.ts';
import type { Head } from '../core/head.ts';
import { readPages } from '../core/pages.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { createGate } from '../io/gate.ts';
import { oneFlight } from '../io/one-flight.ts';
import type { SharedBudget } from '../io/shared-budget.ts';
import { storedBlob } from '../io/stored-blob.ts';
import { inTurns, Turn } from '../io/turn.ts';
import { FormFiles } from './form-files.ts';

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

/** @param deps `budget`: the disk that they share with others; null or left out: no bound */
export function createForms(deps: {
  folder: string;
  blobs: BlobStore;
  note: (error: unknown) => void;
  budget?: SharedBudget | null;
}): Forms {
  const { folder, blobs, note, budget = null } = deps;
  const files = new FormFiles(folder, budget, note);
  const memory = new FormMemory(MEMORY_BYTES_MAX);
  const making = new Map<string, Promise<Uint8Array>>();
  const gate = createGate(MAKING_MAX);

  /** Not `pipe`: a blob that can't be read has to fail this form alone, not the process. */
  async function make(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array> {
    const compressor = COMPRESSORS[coding](formSize(kind, head, base));
    const bytes = inPieces(formBytes(kind, head, base, blobs));
    return pipeline(bytes, compressor, async (compressed: Readable) => exactly(await buffer(compressed)));
  }

  async function loadOrMake(kind: FormKind, head: Head, base: string, coding: FormCoding): Promise<Uint8Array> {
    const place = { name: head.name, kind, base, coding };
    const stored = await files.load(place, head[kind].sha256);
    if (stored) return stored;
    const made = await gate(() => make(kind, head, base, coding));
    files.save(place, head[kind].sha256, made);
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
    idle: () => files.idle(),
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
