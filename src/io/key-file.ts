/**
 * Keys on disk. A private key is read or made here and never leaves: callers get its public half and a function that
 * uses it. Files are PKCS #8 PEM (RFC 5958), mode 0600, written durably before they are used for the first time.
 */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { dirname, join } from 'node:path';
import { fromHex, text, toBase64, toHex, utf8 } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { hostKeyName, originCosignerName } from '../core/host-keys.ts';
import { formatKeysNoteText, logNameOf, openKeysNote, type OriginKeys as PublicKeys } from '../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../core/limits.ts';
import { COSIGNATURE_TYPE, formatVkey, hostIdOf, signNote, splitNote } from '../core/note.ts';
import { makeFolder, openIfThere, readBounded, writeDurably } from './durable-file.ts';

const KEY_FILE_BYTES_MAX = 4_096;
/** The folder of keys in a data directory, and files in it that come in two versions while the log key is changed. */
export const FOLDER = 'keys';
export const LOG_KEY = 'log.key';
export const CERTIFICATE = 'keys.note';
/** Behind the name of a file that is to take the file's place (io/next-log-key.ts). */
export const NEXT = '.next';

/** An Ed25519 key that can sign. `publicKey` is the raw key, 32 bytes. */
export type SigningKey = {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly vkey: string;
  readonly sign: (message: Uint8Array) => Uint8Array;
};

/** An X25519 key (RFC 7748). `exchangeSecret` throws for a peer key that gives no secret (a point of low order). */
export type ExchangeKey = {
  readonly publicKey: Uint8Array;
  readonly exchangeSecret: (peerPublic: Uint8Array) => Uint8Array;
};

export type OriginKeys = {
  readonly logName: string;
  readonly log: SigningKey;
  readonly hosts: SigningKey;
  /** Says that the newest checkpoint still is the newest; its vkey is of signature type 0x04. */
  readonly cosigner: SigningKey;
  readonly exchange: ExchangeKey;
  /** Verifier key of the root key, which itself may be offline. */
  readonly rootVkey: string;
  /** Path of the root key's file, or null once it was taken away: to advise the operator. */
  readonly rootKeyFile: string | null;
  /** Secret under which the origin checks its own marks. Not a key that others share. */
  readonly markSecret: Uint8Array;
  /** The note that certifies all public keys, signed by root key and log key: what `/-/federation/keys` serves. */
  readonly note: Uint8Array;
};

export type HostKeys = {
  readonly hostId: string;
  readonly identity: SigningKey;
  readonly exchange: ExchangeKey;
};

/**
 * The origin's keys, made at the first start. The certificate (`keys.note`) is written last and is the commit point:
 * before it, the next start goes on with whatever keys are there; after it, the root key's file may be taken offline.
 * @param dir data directory
 * @param logName name that the log must have; null takes the one that it has, or makes one
 * @throws UsageError if a key is missing, readable by others, or not the one that was certified
 */
export async function openOriginKeys(dir: string, logName: string | null = null): Promise<OriginKeys> {
  const folder = join(dir, FOLDER);
  await makeFolder(folder);
  const certificate = await readBounded(join(folder, CERTIFICATE), NOTE_BYTES_MAX);
  return certificate ? reopenOriginKeys(folder, certificate, logName) : createOriginKeys(folder, logName);
}

/** A host's keys, made at its first start. */
export async function openHostKeys(dir: string): Promise<HostKeys> {
  const folder = join(dir, FOLDER);
  await makeFolder(folder);
  const identity = await openKey(join(folder, 'identity.key'), 'ed25519', 'make');
  const exchange = await openKey(join(folder, 'exchange.key'), 'x25519', 'make');
  const hostId = hostIdOf(rawPublicKey(identity));
  return { hostId, identity: signingKey(hostKeyName(hostId), identity), exchange: exchangeKey(exchange) };
}

/**
 * A cosigner's key, made at its first use: one file for each cosigner, since a key must not have two roles.
 * @param file its name in the folder of keys, such as `witness.key`
 * @param name of the cosigner, such as `witness/<host id>`
 * @returns `vkey` is one of signature type 0x04
 */
export async function openCosignerKey(dir: string, file: string, name: string): Promise<SigningKey> {
  const folder = join(dir, FOLDER);
  await makeFolder(folder);
  return cosignerKey(name, await openKey(join(folder, file), 'ed25519', 'make'));
}

async function createOriginKeys(folder: string, logName: string | null): Promise<OriginKeys> {
  const name = logName ?? `open-registry/${toHex(randomBytes(8))}`;
  const online = await openOnlineKeys(folder, name, 'make');
  const rootKeyFile = join(folder, 'root.key');
  const root = signingKey(`${name}/root`, await openKey(rootKeyFile, 'ed25519', 'make'));
  const note = await certify(online, root);
  await writeDurably(join(folder, CERTIFICATE), note);
  return { ...online, rootVkey: root.vkey, rootKeyFile, note };
}

/** The note that certifies these keys, signed by root key and log key. */
export async function certify(online: OnlineKeys, root: SigningKey): Promise<Uint8Array> {
  return utf8(await signNote(formatKeysNoteText(publicKeys(online, root.vkey)), [root, online.log]));
}

/**
 * The root key, from wherever it is kept.
 * @throws UsageError if it is not there, or is not the one of this log
 */
export async function openRootKey(file: string, keys: Pick<OriginKeys, 'logName' | 'rootVkey'>): Promise<SigningKey> {
  const root = signingKey(`${keys.logName}/root`, await openKey(file, 'ed25519', 'must exist'));
  if (root.vkey === keys.rootVkey) return root;
  throw new UsageError(`${file} is not the root key of ${keys.logName}, which is ${keys.rootVkey}`);
}

/**
 * The note as this version writes it, where an earlier one wrote it: with the root key, if that is still here. Without it
 * the cosigner stays uncertified, and nobody takes its word.
 */
async function renewed(note: Uint8Array, online: OnlineKeys, rootVkey: string, rootKeyFile: string | null) {
  const noteText = formatKeysNoteText(publicKeys(online, rootVkey));
  if (rootKeyFile === null || splitNote(note).text === noteText) return note;
  const root = await openRootKey(rootKeyFile, { logName: online.logName, rootVkey });
  const next = await certify(online, root);
  await writeDurably(join(dirname(rootKeyFile), CERTIFICATE), next);
  return next;
}

async function reopenOriginKeys(folder: string, note: Uint8Array, logName: string | null): Promise<OriginKeys> {
  const certified = openKeysNote(note, null);
  const name = logNameOf(certified);
  if (logName !== null && logName !== name) {
    throw new UsageError(`the keys in ${folder} belong to the log ${name}, not ${logName}`);
  }
  const online = await openOnlineKeys(folder, name, 'must exist');
  const { cosigner, ...others } = publicKeys(online, certified.root);
  const own = certified.cosigner === undefined ? others : { ...others, cosigner: cosigner as string };
  if (formatKeysNoteText(own) !== formatKeysNoteText(certified)) {
    const isCutOff = (await pathIfThere(join(folder, CERTIFICATE + NEXT))) !== null;
    throw new UsageError(
      isCutOff
        ? `a change of the log key in ${folder} was cut off; start the origin once: that finishes it`
        : `the keys in ${folder} are not those that its ${CERTIFICATE} certifies; restore the right files`,
    );
  }
  const rootKeyFile = await pathIfThere(join(folder, 'root.key'));
  return {
    ...{ ...online, rootVkey: certified.root, rootKeyFile },
    note: await renewed(note, online, certified.root, rootKeyFile),
  };
}

type OnlineKeys = Pick<OriginKeys, 'logName' | 'log' | 'hosts' | 'cosigner' | 'exchange' | 'markSecret'>;

async function openOnlineKeys(folder: string, logName: string, missing: Missing): Promise<OnlineKeys> {
  return {
    logName,
    log: signingKey(logName, await openKey(join(folder, LOG_KEY), 'ed25519', missing)),
    hosts: signingKey(`${logName}/hosts`, await openKey(join(folder, 'hosts.key'), 'ed25519', missing)),
    // Earlier versions had none, so it may be missing where the others must not.
    cosigner: cosignerKey(originCosignerName(logName), await openKey(join(folder, 'cosigner.key'), 'ed25519', 'make')),
    exchange: exchangeKey(await openKey(join(folder, 'exchange.key'), 'x25519', missing)),
    markSecret: await openSecret(join(folder, 'mark.secret'), missing),
  };
}

function publicKeys({ log, hosts, cosigner, exchange }: OnlineKeys, root: string): PublicKeys {
  return {
    ...{ log: log.vkey, root, hosts: hosts.vkey, cosigner: cosigner.vkey },
    exchange: toBase64(exchange.publicKey),
  };
}

type Missing = 'make' | 'must exist';

/** A log key in a file of its own, made if it is not there. */
export async function openLogKey(path: string, logName: string): Promise<SigningKey> {
  return signingKey(logName, await openKey(path, 'ed25519', 'make'));
}

async function openKey(path: string, type: 'ed25519' | 'x25519', missing: Missing): Promise<KeyObject> {
  const stored = await readPrivate(path);
  if (stored === null) return makeKey(path, type, missing);
  const key = parsePrivateKey(path, text(stored));
  if (key.asymmetricKeyType !== type)
    throw new UsageError(`${path} holds a key of type ${key.asymmetricKeyType}, not ${type}`);
  return key;
}

async function makeKey(path: string, type: 'ed25519' | 'x25519', missing: Missing): Promise<KeyObject> {
  if (missing === 'must exist') throw missingFile(path);
  const { privateKey } = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  await writeDurably(path, utf8(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))));
  return privateKey;
}

async function openSecret(path: string, missing: Missing): Promise<Uint8Array> {
  const stored = await readPrivate(path);
  if (stored !== null) return fromHex(text(stored).trim());
  if (missing === 'must exist') throw missingFile(path);
  const secret = new Uint8Array(randomBytes(32));
  await writeDurably(path, utf8(`${toHex(secret)}\n`));
  return secret;
}

function parsePrivateKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // The cause may quote the file, and what is quoted may be logged.
    throw new UsageError(`${path} is not a private key in PKCS #8 PEM`);
  }
}

/** Content of a file that nobody but its owner can read, or null if there is none. */
async function readPrivate(path: string): Promise<Uint8Array | null> {
  const file = await openIfThere(path);
  if (file === null) return null;
  try {
    const { mode } = await file.stat();
    if (mode & 0o077) throw new UsageError(`${path} can be read by other users; run: chmod 600 ${path}`);
  } finally {
    await file.close();
  }
  return readBounded(path, KEY_FILE_BYTES_MAX);
}

function signingKey(name: string, privateKey: KeyObject): SigningKey {
  const publicKey = rawPublicKey(privateKey);
  const vkey = formatVkey(name, publicKey);
  return { name, publicKey, vkey, sign: (message) => new Uint8Array(sign(null, message, privateKey)) };
}

function cosignerKey(name: string, privateKey: KeyObject): SigningKey {
  const key = signingKey(name, privateKey);
  return { ...key, vkey: formatVkey(name, key.publicKey, COSIGNATURE_TYPE) };
}

function exchangeKey(privateKey: KeyObject): ExchangeKey {
  return {
    publicKey: rawPublicKey(privateKey),
    exchangeSecret: (peerPublic) =>
      new Uint8Array(diffieHellman({ privateKey, publicKey: x25519PublicKey(peerPublic) })),
  };
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(String(x), 'base64url'));
}

function x25519PublicKey(raw: Uint8Array): KeyObject {
  const jwk = { kty: 'OKP', crv: 'X25519', x: Buffer.from(raw).toString('base64url') };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

async function pathIfThere(path: string): Promise<string | null> {
  const file = await openIfThere(path);
  await file?.close();
  return file ? path : null;
}

function missingFile(path: string): UsageError {
  return new UsageError(`${path} is missing, though this data directory had its first start; restore it from a backup`);
}
