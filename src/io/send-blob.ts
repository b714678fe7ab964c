/** A stored blob as an answer's body: out of memory where it is small enough for that, else as a stream. */
import type { BlobId, BlobStore, ByteRange } from './blob-store.ts';
import { KEPT_BYTES_MAX } from './checked-reads.ts';
import { LentBytes } from './lent-bytes.ts';

/** Up to here a blob is sent in one piece whoever asks; a stream would hold as much for a slow client. */
export const ALWAYS_WHOLE_BYTES_MAX = 64 * 1024;
/** Larger ones, while all that are being sent like that are no more than this. */
export const LENT_BYTES_MAX = 64 * 1024 * 1024;

/** Part of an answer. */
export type SentBlob = {
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  readonly onClose?: () => void;
};

export class BlobSender {
  readonly #store: BlobStore;
  readonly #lent = new LentBytes(LENT_BYTES_MAX);

  constructor(store: BlobStore) {
    this.#store = store;
  }

  /**
   * @param size of the blob, in bytes
   * @returns null if it is not there
   * @throws IntegrityError if it has rotted; a stream may throw it later
   */
  async open(id: BlobId, size: number, range: ByteRange): Promise<SentBlob | null> {
    if (size <= ALWAYS_WHOLE_BYTES_MAX) return this.#whole(id, range);
    const onClose = size <= KEPT_BYTES_MAX ? this.#lent.lend(id.hex, size) : null;
    if (onClose === null) return this.#stream(id, range);
    let sent: SentBlob | null = null;
    try {
      sent = await this.#whole(id, range);
    } finally {
      if (sent === null) onClose();
    }
    return sent && { ...sent, onClose };
  }

  async #stream(id: BlobId, range: ByteRange): Promise<SentBlob | null> {
    const opened = await this.#store.open(id, range);
    return opened && { body: opened.body };
  }

  async #whole(id: BlobId, { start, end }: ByteRange): Promise<SentBlob | null> {
    const bytes = await this.#store.read(id);
    return bytes && { body: bytes.subarray(start, end) };
  }
}
