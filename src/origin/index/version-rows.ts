/**
 * The version rows of a package in memory, packed: a fifth of what they take as objects, and out of the garbage
 * collector's sight. A row is unpacked when it is asked for, in about a microsecond.
 */
import { Buffer } from 'node:buffer';
import { compare, concat, utf8 } from '../../core/bytes.ts';
import { SHA256_BYTES } from '../../core/hash.ts';
import type { Steps } from '../../core/steps.ts';
import type { VersionRow } from '../../core/tables.ts';

type State = VersionRow['state'];
/** Columns that are no hashes; JSON in the packed form. */
type Rest = [cut: number, abbreviatedCut: number, file: string, time: string | null, reason: string | null];

const STATES: readonly State[] = ['listed', 'learned', 'withdrawn'];
const SHA256_HEX = 2 * SHA256_BYTES;
const ALGORITHMS = [
  { prefix: 'sha512:', bytes: 64 },
  { prefix: 'sha1:', bytes: 20 },
] as const;

/** One row: length of the version in two bytes, version, state, algorithm of the pin, three hashes, the rest. */
function pack(version: string, row: VersionRow): Buffer {
  const name = Buffer.from(version);
  const pin = ALGORITHMS.findIndex(({ prefix }) => row.pinned.startsWith(prefix));
  const hashes = row.manifest + row.abbreviated + row.pinned.slice(row.pinned.indexOf(':') + 1);
  const rest: Rest = [row.cut, row.abbreviatedCut, row.file, row.time, row.reason];
  return Buffer.concat([
    Buffer.of(name.length >> 8, name.length & 0xff),
    name,
    Buffer.of(STATES.indexOf(row.state), pin),
    Buffer.from(hashes, 'hex'),
    Buffer.from(JSON.stringify(rest)),
  ]);
}

/** Packs rows. `order` names the listed versions in the head's order. */
export function* packRows(
  rows: readonly (readonly [version: string, row: VersionRow])[],
  order: readonly string[],
): Steps<VersionRows> {
  const sorted = rows.map(([version, row]) => ({ version, name: utf8(version), row }));
  sorted.sort((a, b) => compare(a.name, b.name));
  const packed: Buffer[] = [];
  const starts = new Uint32Array(rows.length + 1);
  for (const [at, { version, row }] of sorted.entries()) {
    const bytes = pack(version, row);
    packed.push(bytes);
    starts[at + 1] = (starts[at] as number) + bytes.length;
    yield;
  }
  const places = new Map(sorted.map(({ version }, at) => [version, at]));
  const listed = order.flatMap((version) => places.get(version) ?? []);
  // Not out of Buffer's pool, of which a small package would keep a large piece.
  return new VersionRows(concat(packed), starts, Uint32Array.from(listed));
}

/** Never changed. */
export class VersionRows {
  readonly #bytes: Buffer;
  /** Where each row starts, sorted by version, and where the last one ends. */
  readonly #starts: Uint32Array;
  readonly #listed: Uint32Array;

  constructor(bytes: Uint8Array, starts: Uint32Array, listed: Uint32Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#starts = starts;
    this.#listed = listed;
  }

  /** Of how many versions rows are here, withdrawn ones too. */
  get size(): number {
    return this.#starts.length - 1;
  }

  /** Memory that they take, in bytes. */
  get bytes(): number {
    return this.#bytes.length + this.#starts.byteLength + this.#listed.byteLength;
  }

  get(version: string): VersionRow | undefined {
    const at = this.#find(version);
    return at < 0 ? undefined : this.#rowAt(at);
  }

  has(version: string): boolean {
    return this.#find(version) >= 0;
  }

  /** Listed versions in the head's order. */
  order(): string[] {
    return Array.from(this.#listed, (at) => this.#versionAt(at));
  }

  /** All versions, sorted. */
  versions(): string[] {
    return Array.from({ length: this.size }, (_, at) => this.#versionAt(at));
  }

  /** Versions in this state, sorted. */
  inState(state: State): string[] {
    const wanted = STATES.indexOf(state);
    const places = Array.from({ length: this.size }, (_, at) => at);
    return places.filter((at) => this.#bytes[this.#versionEnd(at)] === wanted).map((at) => this.#versionAt(at));
  }

  /** All rows by version, sorted. */
  *unpack(): Steps<Map<string, VersionRow>> {
    const rows = new Map<string, VersionRow>();
    for (let at = 0; at < this.size; at++) {
      rows.set(this.#versionAt(at), this.#rowAt(at));
      yield;
    }
    return rows;
  }

  #find(version: string): number {
    const name = utf8(version);
    let [low, high] = [0, this.size - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#compare(middle, name);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** Byte by byte: the names are short, and a call out of JavaScript takes longer than that. */
  #compare(at: number, name: Uint8Array): number {
    const start = (this.#starts[at] as number) + 2;
    const length = this.#versionEnd(at) - start;
    for (let i = 0; i < length && i < name.length; i++) {
      const difference = (this.#bytes[start + i] as number) - (name[i] as number);
      if (difference !== 0) return difference;
    }
    return length - name.length;
  }

  #rowAt(at: number): VersionRow {
    const head = this.#versionEnd(at);
    const { prefix, bytes } = ALGORITHMS[this.#bytes[head + 1] as number] as (typeof ALGORITHMS)[number];
    const pinned = head + 2 + 2 * SHA256_BYTES;
    const hashes = this.#bytes.toString('hex', head + 2, pinned + bytes);
    const [cut, abbreviatedCut, file, time, reason]: Rest = JSON.parse(
      this.#bytes.toString('utf8', pinned + bytes, this.#starts[at + 1]),
    );
    return {
      state: STATES[this.#bytes[head] as number] as State,
      manifest: hashes.slice(0, SHA256_HEX),
      cut,
      file,
      abbreviated: hashes.slice(SHA256_HEX, 2 * SHA256_HEX),
      abbreviatedCut,
      pinned: prefix + hashes.slice(2 * SHA256_HEX),
      time,
      reason,
    };
  }

  #versionAt(at: number): string {
    return this.#bytes.toString('utf8', (this.#starts[at] as number) + 2, this.#versionEnd(at));
  }

  #versionEnd(at: number): number {
    const start = this.#starts[at] as number;
    return start + 2 + ((this.#bytes[start] as number) << 8) + (this.#bytes[start + 1] as number);
  }
}
