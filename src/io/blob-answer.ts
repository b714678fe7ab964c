/** Answering a read of a content-addressed blob: the same at an origin and at a mirror. */
import { fromHex, toBase64 } from '../core/bytes.ts';
import { CACHE, planRead, type RequestHeaders, reprDigest } from '../core/http-semantics.ts';
import type { BlobId, ByteRange } from './blob-store.ts';
import type { Answer } from './http-answer.ts';

/** A blob that is there. `open` is called at most once, and only if bytes are to be sent. */
export type ReadableBlob = {
  /** Bytes. */
  readonly size: number;
  readonly open: (range: ByteRange) => Promise<AsyncIterable<Uint8Array> | Uint8Array>;
};

/** Conditions, ranges and HEAD by RFC 9110; the digest by RFC 9530; immutable, since the hash is in the path. */
export async function blobAnswer(
  request: { readonly method: string; readonly headers: RequestHeaders },
  id: BlobId,
  blob: ReadableBlob,
): Promise<Answer> {
  const etag = `"${id.algorithm}-${id.hex}"`;
  const plan = planRead(request.method, request.headers, { etag, size: blob.size, allowRange: true });
  const headers = {
    'cache-control': CACHE.byHash,
    'content-type': 'application/octet-stream',
    'repr-digest': id.algorithm === 'sha512' ? reprDigest(id.hex) : `sha-256=:${toBase64(fromHex(id.hex))}:`,
    'x-content-type-options': 'nosniff',
    ...plan.headers,
  };
  const body = plan.body ? await blob.open(plan.range ?? { start: 0, end: blob.size }) : null;
  return { status: plan.status, headers, body };
}
