/**
 * Signed requests between hosts and an origin: the part of RFC 9421 that they need. One signature, label `sig1`, Ed25519,
 * a fixed list of covered components, strict parameters. What another profile of the RFC would allow is refused, so that
 * nothing that matters can stand outside the signature.
 */
import { fromBase64, toBase64, utf8 } from './bytes.ts';
import { verifyEd25519 } from './ed25519.ts';
import { UnauthorizedError } from './errors.ts';
import { sha256 } from './hash.ts';

/** Header that binds a signature to one origin: the name of its log. A request for one origin is worthless at another. */
const LOG_HEADER = 'open-registry-log';
/** `tag` parameter (RFC 9421 section 2.3): no signature made for something else can be taken for one of ours. */
const TAG = 'open-registry';
const LABEL = 'sig1';
/** Clocks may differ by this much, seconds. */
const SKEW_SECONDS_MAX = 300;
/** For requests signed right after a server started, by a clock that is a little late; `created` is in whole seconds. */
const START_SKEW_SECONDS = 2;
const HEADER_LENGTH_MAX = 1_024;

export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request before it is signed. */
export type UnsignedRequest = {
  readonly method: string;
  /** Absolute path without a query: a query is not covered. */
  readonly path: string;
  /** Null for a request without content. */
  readonly body: Uint8Array | null;
  readonly logName: string;
  /** Host id. */
  readonly keyId: string;
  /** Unix seconds. */
  readonly created: number;
  /** 16 to 64 characters of base64url, never used twice. */
  readonly nonce: string;
};

/** A request as it arrived. */
export type ReceivedRequest = {
  readonly method: string;
  /** Request target as received, query included. */
  readonly url: string;
  readonly headers: RequestHeaders;
  readonly body: Uint8Array | null;
};

/** What a signature says of itself, before anything of it is believed. */
export type RequestSignature = {
  readonly keyId: string;
  readonly created: number;
  readonly nonce: string;
  readonly components: readonly string[];
  /** Inner list with parameters, byte for byte: the value of `@signature-params`. */
  readonly params: string;
  readonly signature: Uint8Array;
};

/**
 * Headers to send with the request: `open-registry-log`, `content-digest` where there is a body, `signature-input` and
 * `signature`.
 * @param sign Ed25519 over the signature base
 */
export function signRequest(
  request: UnsignedRequest,
  sign: (message: Uint8Array) => Uint8Array,
): Record<string, string> {
  const headers: Record<string, string> = { [LOG_HEADER]: request.logName };
  if (request.body) headers['content-digest'] = contentDigest(request.body);
  const components = coveredComponents(request.body !== null);
  const params = formatParams(components, request);
  const lines = components.map((name) => [name, componentOf(name, request.method, request.path, headers)] as const);
  const signature = sign(utf8(signatureBase(lines, params)));
  return { ...headers, 'signature-input': `${LABEL}=${params}`, signature: `${LABEL}=:${toBase64(signature)}:` };
}

/**
 * The signature of a request, or null if it has none.
 * @throws UnauthorizedError if there is one that is not of our form
 */
export function readSignature(headers: RequestHeaders): RequestSignature | null {
  const input = headers['signature-input'];
  const signature = headers.signature;
  if (input === undefined && signature === undefined) return null;
  const params = INPUT.exec(bounded('signature-input', input));
  const value = SIGNATURE.exec(bounded('signature', signature));
  if (!params?.groups || !value?.groups) {
    throw refused(`Signature-Input and Signature must have one member, ${LABEL}, in the form of docs/protocol.md`);
  }
  const { list, covered, created, nonce, keyid } = params.groups as Record<string, string>;
  return {
    keyId: keyid as string,
    created: Number(created),
    nonce: nonce as string,
    components: (covered as string).split(' ').map((quoted) => quoted.slice(1, -1)),
    params: list as string,
    signature: signatureBytes(value.groups.base64 as string),
  };
}

/**
 * Checks that the request was signed by this key, for this log, now, over everything that matters. Whether the nonce is
 * new is for {@link NonceMemory}, and asked last: a forged request must not use up a nonce.
 * @param publicKey raw Ed25519 key, 32 bytes
 * @param now unix ms
 * @throws UnauthorizedError that says what does not fit
 */
export function verifyRequest(
  request: ReceivedRequest,
  signature: RequestSignature,
  expected: { publicKey: Uint8Array; logName: string; now: number },
): void {
  if (request.url.includes('?')) throw refused('a signed request has no query, since the signature does not cover it');
  const wanted = coveredComponents(request.body !== null);
  if (signature.components.join(' ') !== wanted.join(' ')) {
    throw refused(`the signature must cover exactly: ${wanted.join(', ')}`);
  }
  if (Math.abs(expected.now / 1000 - signature.created) > SKEW_SECONDS_MAX) {
    throw refused(`the signature was created more than ${SKEW_SECONDS_MAX} s from now; check the clock`);
  }
  if (request.headers[LOG_HEADER] !== expected.logName) {
    throw refused(`the request is signed for another log; this one is ${expected.logName}`);
  }
  if (request.body && request.headers['content-digest'] !== contentDigest(request.body)) {
    throw refused('Content-Digest is not the sha-256 of the body');
  }
  const lines = wanted.map((name) => [name, componentOf(name, request.method, request.url, request.headers)] as const);
  const base = utf8(signatureBase(lines, signature.params));
  if (!verifyEd25519(expected.publicKey, base, signature.signature)) throw refused('the signature is wrong');
}

/** Signature base (RFC 9421 section 2.5): one line per covered component, then the parameters; no newline at the end. */
export function signatureBase(components: readonly (readonly [name: string, value: string])[], params: string): string {
  return [...components, ['@signature-params', params] as const]
    .map(([name, value]) => `"${name}": ${value}`)
    .join('\n');
}

/** `Content-Digest` of a body (RFC 9530). */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${toBase64(sha256(body))}:`;
}

/**
 * Remembers which nonces were used, so that a captured request is good once. Bounded: a nonce is forgotten when its
 * signature has expired, and one key can't use up the room of all others. Full means refusing, never forgetting early.
 * A new memory knows nothing of what was used before it, so signatures that are older than it are refused.
 */
export class NonceMemory {
  readonly #since: number;
  readonly #perKeyMax: number;
  readonly #keysMax: number;
  readonly #used = new Map<string, Map<string, number>>();

  /** @param since unix ms at which the memory begins */
  constructor(since: number, { perKeyMax = 1_000, keysMax = 5_000 }: { perKeyMax?: number; keysMax?: number } = {}) {
    this.#since = since / 1000 - START_SKEW_SECONDS;
    this.#perKeyMax = perKeyMax;
    this.#keysMax = keysMax;
  }

  /**
   * Takes the nonce of a signature that was verified.
   * @param now unix ms
   * @throws UnauthorizedError if it was used before, or may have been, or there is no room
   */
  use({ keyId, nonce, created }: RequestSignature, now: number): void {
    if (created < this.#since)
      throw refused('it was created before this server started; sign again, or check the clock');
    const nonces = this.#used.get(keyId) ?? this.#newKey(now);
    if (nonces.has(nonce)) throw refused('this nonce was used before; sign each request anew');
    if (nonces.size >= this.#perKeyMax) forget(nonces, now);
    if (nonces.size >= this.#perKeyMax)
      throw refused('this key signed too many requests in the last minutes; slow down');
    nonces.set(nonce, (created + SKEW_SECONDS_MAX) * 1000);
    this.#used.set(keyId, nonces);
  }

  #newKey(now: number): Map<string, number> {
    if (this.#used.size >= this.#keysMax) this.#forgetExpired(now);
    if (this.#used.size >= this.#keysMax) throw refused('too many keys signed requests in the last minutes; slow down');
    return new Map();
  }

  #forgetExpired(now: number): void {
    for (const [keyId, nonces] of this.#used) {
      forget(nonces, now);
      if (nonces.size === 0) this.#used.delete(keyId);
    }
  }
}

// One member, our components in our order, each parameter once in our order: nothing is left to interpretation.
const INPUT = new RegExp(
  `^${LABEL}=(?<list>\\((?<covered>"[a-z@-]+"(?: "[a-z@-]+")*)\\)` +
    `;created=(?<created>0|[1-9][0-9]{0,14});nonce="(?<nonce>[A-Za-z0-9_-]{16,64})"` +
    `;keyid="(?<keyid>[0-9a-f]{16})";alg="ed25519";tag="${TAG}")$`,
);
const SIGNATURE = new RegExp(`^${LABEL}=:(?<base64>[A-Za-z0-9+/]{86}==):$`);

function coveredComponents(hasBody: boolean): string[] {
  return ['@method', '@path', ...(hasBody ? ['content-digest'] : []), LOG_HEADER];
}

function formatParams(components: readonly string[], { created, nonce, keyId }: UnsignedRequest): string {
  const covered = components.map((name) => `"${name}"`).join(' ');
  return `(${covered});created=${created};nonce="${nonce}";keyid="${keyId}";alg="ed25519";tag="${TAG}"`;
}

function componentOf(name: string, method: string, path: string, headers: RequestHeaders): string {
  if (name === '@method') return method;
  if (name === '@path') return path;
  return String(headers[name]);
}

function bounded(name: string, value: string | readonly string[] | undefined): string {
  if (typeof value !== 'string') throw refused(`${name} must be there exactly once`);
  if (value.length > HEADER_LENGTH_MAX) throw refused(`${name} is longer than ${HEADER_LENGTH_MAX} characters`);
  return value;
}

/** Set bits behind the end of base64 would give one signature several spellings. */
function signatureBytes(base64: string): Uint8Array {
  try {
    return fromBase64(base64);
  } catch (cause) {
    throw new UnauthorizedError('Signature is not canonical base64', { cause });
  }
}

function forget(nonces: Map<string, number>, now: number): void {
  for (const [nonce, expires] of nonces) if (expires < now) nonces.delete(nonce);
}

function refused(reason: string): UnauthorizedError {
  return new UnauthorizedError(`the request's signature is refused: ${reason}`);
}
