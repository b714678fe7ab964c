/**
 * Signatures of the upstream registry: `dist.signatures`, ECDSA P-256 with SHA-256 over
 * `<name>@<version>:<dist.integrity>`, and the document of keys at `/-/npm/v1/keys`, as npm's `audit signatures` reads them.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { fromBase64, text, utf8 } from './bytes.ts';
import { MalformedError, TooLargeError } from './errors.ts';
import { UPSTREAM_KEYS_BYTES_MAX, UPSTREAM_KEYS_MAX, UPSTREAM_SIGNATURES_MAX } from './limits.ts';

const FORMAT = 'upstream keys';
/** The only kind of key in use (RFC 5656 section 6.1 for the name); others are passed over until they can be checked. */
const ECDSA_P256 = 'ecdsa-sha2-nistp256';

export type UpstreamKey = {
  readonly keyid: string;
  readonly keytype: string;
  readonly scheme: string;
  /** base64 of the SubjectPublicKeyInfo. */
  readonly key: string;
  /** Unix ms, or null for a key without an end. */
  readonly expires: number | null;
};

export type UpstreamSignature = { readonly keyid: string; readonly sig: string };

export type UpstreamVerdict =
  | { readonly ok: true; readonly keyid: string }
  | { readonly ok: false; readonly reason: 'unsigned' | 'unknown-key' | 'bad-signature' | 'expired-key' };

/**
 * Whether the upstream signed this version. One good signature by a known key is enough; one bad signature by a known key
 * spoils the rest, since its holder can't have meant both.
 * @param signed `publishedAt` is the version's pinned time in unix ms, or null where it has none: an expired key stays
 * good for versions from before its end, and for no others
 */
export function verifyUpstreamSignature(signed: {
  readonly name: string;
  readonly version: string;
  readonly integrity: string | null;
  readonly signatures: readonly UpstreamSignature[];
  readonly keys: readonly UpstreamKey[];
  readonly publishedAt: number | null;
}): UpstreamVerdict {
  const { name, version, integrity, signatures } = signed;
  if (integrity === null || signatures.length === 0) return { ok: false, reason: 'unsigned' };
  if (signatures.length > UPSTREAM_SIGNATURES_MAX) return { ok: false, reason: 'bad-signature' };
  const message = utf8(`${name}@${version}:${integrity}`);
  const verdicts = signatures.map((signature) => verdictOf(signature, message, signed));
  return worst(verdicts);
}

/**
 * The keys of the upstream's document, those of a kind that can't be checked left out.
 * @throws MalformedError or TooLargeError; a document that is wrong in one place is not believed in another
 */
export function parseUpstreamKeys(bytes: Uint8Array): UpstreamKey[] {
  if (bytes.length > UPSTREAM_KEYS_BYTES_MAX) {
    throw new TooLargeError(
      `the upstream's keys are ${bytes.length} bytes; at most ${UPSTREAM_KEYS_BYTES_MAX} are read`,
    );
  }
  const keys = (parseJson(bytes) as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw malformed('it has no list "keys"');
  if (keys.length > UPSTREAM_KEYS_MAX)
    throw malformed(`it lists ${keys.length} keys; at most ${UPSTREAM_KEYS_MAX} are read`);
  const known = keys.filter(isOurKind).map(parseKey);
  if (new Set(known.map((key) => key.keyid)).size < known.length) throw malformed('two keys have the same keyid');
  return known;
}

function verdictOf(
  { keyid, sig }: UpstreamSignature,
  message: Uint8Array,
  { keys, publishedAt }: { keys: readonly UpstreamKey[]; publishedAt: number | null },
): UpstreamVerdict {
  const key = keys.find((candidate) => candidate.keyid === keyid);
  if (!key) return { ok: false, reason: 'unknown-key' };
  if (!isSignedBy(key, message, sig)) return { ok: false, reason: 'bad-signature' };
  const expired = key.expires !== null && (publishedAt === null || publishedAt >= key.expires);
  return expired ? { ok: false, reason: 'expired-key' } : { ok: true, keyid };
}

function worst(verdicts: readonly UpstreamVerdict[]): UpstreamVerdict {
  const failed = (reason: string) => verdicts.find((verdict) => !verdict.ok && verdict.reason === reason);
  const first = failed('bad-signature') ?? verdicts.find((verdict) => verdict.ok) ?? failed('expired-key');
  return first ?? { ok: false, reason: 'unknown-key' };
}

function isSignedBy(key: UpstreamKey, message: Uint8Array, sig: string): boolean {
  try {
    return verify('sha256', message, publicKeyOf(key.key), fromBase64(sig));
  } catch {
    // Base64, a point or DER that can't be read is a signature that does not verify, whatever the library calls it.
    return false;
  }
}

function isOurKind(entry: unknown): boolean {
  if (typeof entry !== 'object' || entry === null) throw malformed('a key is not an object');
  const { keytype, scheme } = entry as Record<string, unknown>;
  return keytype === ECDSA_P256 && scheme === ECDSA_P256;
}

function parseKey(entry: unknown): UpstreamKey {
  const { keyid, key, expires } = entry as Record<string, unknown>;
  if (typeof keyid !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(keyid))
    throw malformed('a keyid is missing or unusable');
  if (typeof key !== 'string' || !isP256(key)) throw malformed(`key ${keyid} is not a P-256 key in base64 SPKI`);
  return { keyid, keytype: ECDSA_P256, scheme: ECDSA_P256, key, expires: parseExpiry(keyid, expires) };
}

function parseExpiry(keyid: string, expires: unknown): number | null {
  if (expires === null || expires === undefined) return null;
  const at =
    typeof expires === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(expires) ? Date.parse(expires) : Number.NaN;
  if (!Number.isSafeInteger(at) || at < 0)
    throw malformed(`key ${keyid} has an expiry that is not an ISO 8601 time in UTC`);
  return at;
}

function isP256(key: string): boolean {
  try {
    return publicKeyOf(key).asymmetricKeyDetails?.namedCurve === 'prime256v1';
  } catch {
    return false;
  }
}

function publicKeyOf(base64: string): KeyObject {
  return createPublicKey({ key: Buffer.from(fromBase64(base64)), format: 'der', type: 'spki' });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(text(bytes));
  } catch (cause) {
    throw new MalformedError(FORMAT, 'it is not JSON', { cause });
  }
}

function malformed(reason: string): MalformedError {
  return new MalformedError(FORMAT, reason);
}
