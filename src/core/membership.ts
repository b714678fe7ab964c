/**
 * What hosts and origin say to each other about membership: applications, heartbeats, proofs of a URL. Parsers are strict
 * and bounded, since strangers write what they read; a member that a later version adds is passed over.
 */
import { fromBase64, text, toBase64, utf8 } from './bytes.ts';
import { verifyEd25519 } from './ed25519.ts';
import { MalformedError, TooLargeError, UnauthorizedError } from './errors.ts';
import { parseHostKey } from './host-keys.ts';
import {
  CONTROL_BODY_BYTES_MAX,
  HOST_TEXT_LENGTH_MAX,
  HOST_URL_LENGTH_MAX,
  SHOWN_CHECKPOINT_LENGTH_MAX,
} from './limits.ts';

/** Heartbeats that may be missed in a row before presence ends. */
export const HEARTBEATS_MISSED_MAX = 3;

/** Of keys that are named after hosts. */
const VKEY_LENGTH_MAX = 200;

/** What a host applies with. */
export type Application = {
  /** Base URL: scheme, host, port; no slash at the end. */
  readonly url: string;
  /** Verifier key of the identity key, named `host/<host id>`. */
  readonly key: string;
  /** base64 of the raw X25519 public key. */
  readonly exchange: string;
  /** Never in the log, the list of hosts or on a route page. */
  readonly private: boolean;
  readonly operator: string | null;
  readonly software: string | null;
};

/** The origin's answer to an application. Seconds between heartbeats are the origin's to choose. */
export type ApplyAnswer = {
  readonly host: string;
  readonly status: 'pending' | 'approved' | 'suspended';
  readonly heartbeatSeconds: number;
};

/** What a host says about itself. Nothing is decided by what it counts; what it cosigned is verified. */
export type Heartbeat = {
  readonly url: string;
  readonly stored: { readonly blobs: number; readonly bytes: number };
  /** Requests since start that it could not serve. */
  readonly failures: number;
  /** The newest checkpoint all of whose entries it holds; absent before the first. */
  readonly cosigned?: CosignedByHost;
};

/** A checkpoint as a host shows it: with the log's signature and the host's own cosignature, nobody else's. */
export type CosignedByHost = {
  /** Vkey of the host's cosigner key, named `mirror/<host id>`. */
  readonly cosigner: string;
  /** The signed note. */
  readonly checkpoint: string;
};

/** A host's proof that it answers at its URL. */
export type Identity = {
  readonly host: string;
  readonly url: string;
  readonly key: string;
  /** base64 of the Ed25519 signature over {@link identityMessage}. */
  readonly signature: string;
};

/** The bytes that a host signs to prove that it answers at a URL, for this log only and once per nonce. */
export function identityMessage(nonce: string, url: string, logName: string): Uint8Array {
  return utf8(`open-registry identity/1\n${nonce}\n${url}\n${logName}\n`);
}

/** A nonce as identity requests carry it. */
export function isNonce(value: string): boolean {
  return /^[A-Za-z0-9_-]{16,64}$/.test(value);
}

/** The answer to an identity request. */
export function formatIdentity(
  facts: { host: string; url: string; key: string; nonce: string; logName: string },
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  const { host, url, key, nonce, logName } = facts;
  const signature = toBase64(sign(identityMessage(nonce, url, logName)));
  return formatJson({ host, url, key, signature } satisfies Identity);
}

/**
 * Checks the answer to an identity request against what the host applied with.
 * @throws MalformedError or UnauthorizedError that says what does not fit
 */
export function checkIdentity(
  answer: Uint8Array,
  expected: { url: string; key: string; nonce: string; logName: string },
): void {
  const members = parseJson('identity', answer);
  const { hostId, publicKey } = parseHostKey(expected.key);
  if (members.host !== hostId)
    throw new UnauthorizedError(`another host answers at ${expected.url}: ${quote(members.host)}`);
  if (members.url !== expected.url) {
    throw new UnauthorizedError(`host ${hostId} believes its URL to be ${quote(members.url)}, not ${expected.url}`);
  }
  const message = identityMessage(expected.nonce, expected.url, expected.logName);
  const signature = fromBase64(takeText('identity', members, 'signature', 100));
  if (!verifyEd25519(publicKey, message, signature)) {
    throw new UnauthorizedError(`the proof from ${expected.url} is not signed by host ${hostId}`);
  }
}

/** Body of `hosts/apply`. */
export function formatApplication(application: Application): Uint8Array {
  return formatJson(application);
}

/** @throws MalformedError or TooLargeError; whether the URL is allowed is for checkHostUrl */
export function parseApplication(bytes: Uint8Array): Application {
  const members = parseJson('application', bytes);
  const key = takeText('application', members, 'key', VKEY_LENGTH_MAX);
  parseHostKey(key);
  const exchange = takeText('application', members, 'exchange', 44);
  if (fromBase64(exchange).length !== 32) throw malformed('application', '"exchange" is not an X25519 key of 32 bytes');
  if (typeof members.private !== 'boolean') throw malformed('application', '"private" must be true or false');
  return {
    url: takeText('application', members, 'url', HOST_URL_LENGTH_MAX),
    key,
    exchange,
    private: members.private,
    operator: takeLine('application', members, 'operator'),
    software: takeLine('application', members, 'software'),
  };
}

export function formatApplyAnswer(answer: ApplyAnswer): Uint8Array {
  return formatJson(answer);
}

/** @throws MalformedError */
export function parseApplyAnswer(bytes: Uint8Array): ApplyAnswer {
  const members = parseJson('answer to an application', bytes);
  const { host, status, heartbeatSeconds } = members;
  if (status !== 'pending' && status !== 'approved' && status !== 'suspended') {
    throw malformed('answer to an application', `unknown status ${quote(status)}`);
  }
  if (typeof host !== 'string' || typeof heartbeatSeconds !== 'number' || !(heartbeatSeconds >= 0.05)) {
    throw malformed('answer to an application', '"host" or "heartbeatSeconds" is missing');
  }
  return { host, status, heartbeatSeconds: Math.min(heartbeatSeconds, 3_600) };
}

/** Body of `hosts/heartbeat`. */
export function formatHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return formatJson(heartbeat);
}

/** @throws MalformedError or TooLargeError */
export function parseHeartbeat(bytes: Uint8Array): Heartbeat {
  const members = parseJson('heartbeat', bytes);
  const stored = members.stored as Record<string, unknown> | null | undefined;
  const cosigned = takeCosigned(members);
  return {
    url: takeText('heartbeat', members, 'url', HOST_URL_LENGTH_MAX),
    stored: { blobs: takeCount(stored?.blobs, 'stored.blobs'), bytes: takeCount(stored?.bytes, 'stored.bytes') },
    failures: takeCount(members.failures, 'failures'),
    ...(cosigned ? { cosigned } : {}),
  };
}

/** Whose key it is and what the note is worth is judged by who knows the host and the log. */
function takeCosigned({ cosigned }: Record<string, unknown>): CosignedByHost | null {
  if (cosigned === undefined || cosigned === null) return null;
  if (typeof cosigned !== 'object') throw malformed('heartbeat', '"cosigned" is not an object');
  const members = cosigned as Record<string, unknown>;
  return {
    cosigner: takeText('heartbeat', members, 'cosigner', VKEY_LENGTH_MAX),
    checkpoint: takeText('heartbeat', members, 'checkpoint', SHOWN_CHECKPOINT_LENGTH_MAX),
  };
}

function formatJson(value: object): Uint8Array {
  return utf8(`${JSON.stringify(value)}\n`);
}

function parseJson(format: string, bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length > CONTROL_BODY_BYTES_MAX) {
    throw new TooLargeError(`${format} has ${bytes.length} bytes; at most ${CONTROL_BODY_BYTES_MAX} are read`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text(bytes));
  } catch (cause) {
    throw new MalformedError(format, 'it is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(format, 'it is not an object');
  return value as Record<string, unknown>;
}

function takeText(format: string, members: Record<string, unknown>, name: string, lengthMax: number): string {
  const value = members[name];
  if (typeof value !== 'string' || value === '' || value.length > lengthMax) {
    throw malformed(format, `${quote(name)} must be text of 1 to ${lengthMax} characters`);
  }
  return value;
}

/** Text for people to read: one line, since it ends up in terminals and logs. */
function takeLine(format: string, members: Record<string, unknown>, name: string): string | null {
  if (members[name] === undefined || members[name] === null) return null;
  const line = takeText(format, members, name, HOST_TEXT_LENGTH_MAX);
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(line))
    throw malformed(format, `${quote(name)} holds control characters`);
  return line;
}

function takeCount(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw malformed('heartbeat', `${quote(name)} must be a count`);
  return value as number;
}

function malformed(format: string, reason: string): MalformedError {
  return new MalformedError(format, reason);
}

function quote(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
