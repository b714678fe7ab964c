/**
 * What an origin says of a tarball that it has measured: its size and the hashes of its chunks. A host learns by it which
 * parts of a tarball it may pass on before it has the whole.
 */
import { text, toHex, utf8 } from './bytes.ts';
import { chunkListBytes, chunkRoot } from './chunks.ts';
import { MalformedError } from './errors.ts';
import { formatPinned, type PinnedHash, parsePinned } from './integrity.ts';

/** As in the `measured` entry of the journal. `size` in bytes; `chunks` and `list` are sha256 in hex. */
export type Measured = {
  readonly pinned: PinnedHash;
  readonly sha512: string;
  readonly size: number;
  readonly chunks: string;
  readonly list: string;
};

/** Enough to check any part of a tarball. `list`: SHA-256 of each chunk, one after the other. */
export type ChunkFacts = { readonly size: number; readonly list: Uint8Array };

const FORMAT = 'measured tarball';

/** The answer of `/-/federation/measured/<sha512>`. */
export function formatMeasured({ pinned, sha512, size, chunks, list }: Measured): Uint8Array {
  return utf8(`${JSON.stringify({ pinned: formatPinned(pinned), sha512, size, chunks, list })}\n`);
}

/**
 * Members that a later version adds are passed over.
 * @param sha512 of the tarball that was asked for
 * @throws MalformedError for anything else than what is known of that tarball
 */
export function parseMeasured(bytes: Uint8Array, sha512: string): Measured {
  const { pinned, size, chunks, list, ...rest } = parseObject(bytes);
  if (rest.sha512 !== sha512) throw new MalformedError(FORMAT, 'it is about another tarball');
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw new MalformedError(FORMAT, 'its size is no number');
  return {
    pinned: parsePinned(typeof pinned === 'string' ? pinned : ''),
    sha512,
    size: size as number,
    chunks: sha256Of(chunks, 'chunks'),
    list: sha256Of(list, 'list'),
  };
}

/**
 * The chunk list that belongs to a measured tarball, whoever sent it.
 * @throws MalformedError if it doesn't yield the root
 */
export function openChunkList(measured: Pick<Measured, 'size' | 'chunks'>, list: Uint8Array): ChunkFacts {
  const { size, chunks } = measured;
  if (list.length !== chunkListBytes(size))
    throw new MalformedError('chunk list', `its length is wrong for ${size} bytes`);
  const root = toHex(chunkRoot(list));
  if (root !== chunks) throw new MalformedError('chunk list', `its root is ${root}, measured was ${chunks}`);
  return { size, list };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text(bytes));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new MalformedError(FORMAT, 'it is not JSON', { cause });
  }
  throw new MalformedError(FORMAT, 'it is not an object');
}

function sha256Of(value: unknown, member: string): string {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value;
  throw new MalformedError(FORMAT, `${member} is no sha256`);
}
