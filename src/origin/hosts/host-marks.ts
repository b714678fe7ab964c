import { fromBase64 } from '../../core/bytes.ts';
import { BadRequestError } from '../../core/errors.ts';
import { MARK_LIFE_MS, makeMark, markKey } from '../../core/mark.ts';
import type { OriginKeys } from '../../io/key-file.ts';

/** Makes the marks of redirects. `exchange` is the host's public exchange key in base64. */
export type MarkMaker = {
  /** @throws BadRequestError for a key that would give a secret known to everyone */
  checkExchangeKey(exchange: string): void;
  make(about: { hostId: string; doorId: string; sha512: string; exchange: string }): string;
};

/** Shared keys are derived anew when asked for again, so forgetting them is harmless. */
const SHARED_KEYS_MAX = 10_000;

/** @param now unix ms */
export function createMarkMaker(keys: OriginKeys, now: () => number): MarkMaker {
  const shared = new Map<string, Uint8Array>();

  function sharedKey(exchange: string): Uint8Array {
    const known = shared.get(exchange);
    if (known) return known;
    const key = markKey(keys.exchange.exchangeSecret(fromBase64(exchange)), keys.logName);
    if (shared.size >= SHARED_KEYS_MAX) shared.clear();
    shared.set(exchange, key);
    return key;
  }

  return {
    checkExchangeKey(exchange) {
      try {
        keys.exchange.exchangeSecret(fromBase64(exchange));
      } catch (cause) {
        throw new BadRequestError('"exchange" is not a usable X25519 key', { cause });
      }
    },
    make({ hostId, doorId, sha512, exchange }) {
      const expires = now() + MARK_LIFE_MS;
      return makeMark({ sha512, hostId, doorId, expires }, keys.markSecret, sharedKey(exchange));
    },
  };
}
