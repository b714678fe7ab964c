/**
 * Marks: what a redirect carries along, made by the origin and worth something to two parties. The host sees that the
 * origin sent this client for this blob, so that it may fetch the blob; and a client that the host sends back shows the
 * origin which host couldn't serve.
 *
 * 49 bytes as base64url: version 1 (1), expiry in seconds (4, big-endian), host id (8), door id (4), MAC under the
 * origin's own secret (16), MAC under the key that origin and host share (16). Both are HMAC-SHA256 cut to 16 bytes, over
 * the lines `open-registry mark/1`, SHA-512 in hex, host id, door id, expiry in decimal, each ending in a line feed.
 */

import { Buffer } from 'node:buffer';
import { hash, hkdfSync, timingSafeEqual } from 'node:crypto';

/** What a mark says. */
export type Mark = {
  /** 16 hex digits: the host that the client was sent to. */
  readonly hostId: string;
  /** 8 hex digits: the door that sent it, and takes it back. */
  readonly doorId: string;
  /** Unix ms, of whole seconds: no longer good from then on. */
  readonly expires: number;
};

/** A mark as read, its MACs not yet checked. */
export type ReadMark = Mark & { readonly originMac: Uint8Array; readonly hostMac: Uint8Array };

/** How long a mark is good: the longest that a client waits, retries included, and some (npm gives up after 140 s). */
export const MARK_LIFE_MS = 10 * 60_000;

/** A host's clock may be this wrong before it refuses the origin's marks. */
export const MARK_SKEW_MS = 5 * 60_000;

const VERSION = 1;
const MARK_BYTES = 49;
const MAC_BYTES = 16;
/** SHA-256's; keys are 32 bytes, so they fit. */
const BLOCK_BYTES = 64;

/**
 * @param about `sha512`: 128 hex digits; `expires`: unix ms, cut to whole seconds
 * @param originSecret known to the origin alone, 32 random bytes
 * @param hostKey as `markKey` gives it
 */
export function makeMark(about: Mark & { sha512: string }, originSecret: Uint8Array, hostKey: Uint8Array): string {
  const bytes = Buffer.alloc(MARK_BYTES);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt32BE(Math.floor(about.expires / 1000), 1);
  bytes.write(about.hostId, 5, 8, 'hex');
  bytes.write(about.doorId, 13, 4, 'hex');
  const said = linesOf(about, about.sha512);
  bytes.write(macOf(said, originSecret), 17, 'latin1');
  bytes.write(macOf(said, hostKey), 33, 'latin1');
  return bytes.toString('base64url');
}

/** What a mark says, believed or not; null if it is no mark. A host that is not its addressee can read the door in it. */
export function readMark(text: string): ReadMark | null {
  const bytes = Buffer.from(text, 'base64url');
  // Re-encoding refuses what the decoder forgives, so that a mark has one spelling.
  if (bytes.length !== MARK_BYTES || bytes[0] !== VERSION || bytes.toString('base64url') !== text) return null;
  return {
    hostId: bytes.toString('hex', 5, 13),
    doorId: bytes.toString('hex', 13, 17),
    expires: bytes.readUInt32BE(1) * 1000,
    originMac: new Uint8Array(bytes.subarray(17, 33)),
    hostMac: new Uint8Array(bytes.subarray(33)),
  };
}

/** The mark if the origin itself made it for this blob and it is still good; else null. `now`: unix ms. */
export function checkMarkAsOrigin(text: string, sha512: string, originSecret: Uint8Array, now: number): Mark | null {
  const mark = readMark(text);
  if (mark === null || now >= mark.expires) return null;
  return isMacOf(mark, sha512, originSecret, mark.originMac) ? factsOf(mark) : null;
}

/** The mark if the origin made it for this blob and this host and it is still good; else null. `now`: unix ms. */
export function checkMarkAsHost(
  text: string,
  sha512: string,
  hostId: string,
  hostKey: Uint8Array,
  now: number,
): Mark | null {
  const mark = readMark(text);
  if (mark === null || mark.hostId !== hostId || now >= mark.expires + MARK_SKEW_MS) return null;
  return isMacOf(mark, sha512, hostKey, mark.hostMac) ? factsOf(mark) : null;
}

/**
 * The key that an origin and one host share: 32 bytes by HKDF-SHA256 (RFC 5869), salted with the log's name.
 *
 * @param sharedSecret X25519 (RFC 7748) of one's own private and the other's public exchange key
 */
export function markKey(sharedSecret: Uint8Array, logName: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', sharedSecret, logName, 'open-registry mark/1', 32));
}

function isMacOf(mark: Mark, sha512: string, key: Uint8Array, mac: Uint8Array): boolean {
  return timingSafeEqual(mac, Buffer.from(macOf(linesOf(mark, sha512), key), 'latin1'));
}

function linesOf({ hostId, doorId, expires }: Mark, sha512: string): Buffer {
  const lines = ['open-registry mark/1', sha512, hostId, doorId, `${Math.floor(expires / 1000)}`];
  return Buffer.from(`${lines.join('\n')}\n`);
}

/**
 * HMAC-SHA256 (RFC 2104), cut, as latin1. By hand, because two hashes of one call each that give strings cost less than
 * half of `createHmac`, which mostly makes objects; every redirect needs two of these.
 */
function macOf(said: Buffer, key: Uint8Array): string {
  const { inner, outer } = padsOf(key);
  const innerHash = Buffer.from(hash('sha256', behind(inner, said), 'latin1'), 'latin1');
  return hash('sha256', behind(outer, innerHash), 'latin1').slice(0, MAC_BYTES);
}

function behind(block: Uint8Array, bytes: Uint8Array): Buffer {
  const joined = Buffer.allocUnsafe(BLOCK_BYTES + bytes.length);
  joined.set(block);
  joined.set(bytes, BLOCK_BYTES);
  return joined;
}

type Pads = { readonly inner: Uint8Array; readonly outer: Uint8Array };

const knownPads = new WeakMap<Uint8Array, Pads>();

/** A key's two blocks. Keys are never changed in place. */
function padsOf(key: Uint8Array): Pads {
  const known = knownPads.get(key);
  if (known) return known;
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(key);
  const pads = { inner: block.map((byte) => byte ^ 0x36), outer: block.map((byte) => byte ^ 0x5c) };
  knownPads.set(key, pads);
  return pads;
}

function factsOf({ hostId, doorId, expires }: ReadMark): Mark {
  return { hostId, doorId, expires };
}
