/** Undoing content codings. */
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { MalformedError } from '../core/errors.ts';

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Nobody needs more than one; each costs memory before the first byte has come. */
const CODINGS_MAX = 2;

/**
 * The body with its content codings undone (RFC 9110 section 8.4), as a stream that fails if they are invalid or end
 * early. Bodies without a coding, or with one that is unknown, are returned as they are.
 * @param empty true for answers without a body, such as those to HEAD
 * @throws MalformedError if there are too many codings
 */
export function decoded(body: Readable, contentEncoding: string | undefined, empty: boolean): Readable {
  const codings = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim());
  const decoders = codings.filter((coding) => coding !== '' && coding !== 'identity').map((coding) => DECODERS[coding]);
  if (empty || decoders.length === 0 || decoders.includes(undefined)) return body;
  if (decoders.length > CODINGS_MAX) {
    throw new MalformedError('content-encoding', `${decoders.length} codings, at most ${CODINGS_MAX} are undone`);
  }
  return decoders.reduceRight<Readable>((source, make) => {
    const decoder = (make as () => Transform)();
    // Who reads the decoder sees the error; pipeline only sees to it that both ends are released.
    pipeline(source, decoder, () => undefined);
    return decoder;
  }, body);
}
