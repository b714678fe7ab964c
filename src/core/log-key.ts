/**
 * Rotation of the log key: the root key says, in an entry of the log itself, which key comes after which.
 *
 * Who knows the root key can so follow the log from one key to the next. The signature names the log and both keys, so
 * that it is good for this one step only.
 */

import { fromBase64, toBase64, utf8 } from './bytes.ts';
import { verifyEd25519 } from './ed25519.ts';
import type { LogKey } from './entry.ts';
import { MalformedError, SignatureError } from './errors.ts';
import { parseVkey, type Signer } from './note.ts';

type Step = Pick<LogKey, 'previous' | 'key'>;

/** What the root key signs: the log's name and both vkeys, each in a line, under the format's name. */
function logKeyMessage({ previous, key }: Step): Uint8Array {
  return utf8(`open-registry log-key/1\n${parseVkey(key).name}\n${previous}\n${key}\n`);
}

/** The signature of a `log-key` entry, in base64. */
export async function signLogKey(step: Step, root: Signer): Promise<string> {
  return toBase64(await root.sign(logKeyMessage(step)));
}

/**
 * Whether a `log-key` entry is the root key's word.
 * @param rootVkey that the reader trusts for this log
 * @throws SignatureError if it is not; MalformedError if the root key is another log's
 */
export function checkLogKey(entry: Step & Pick<LogKey, 'signature'>, rootVkey: string): void {
  const root = parseVkey(rootVkey);
  const logName = parseVkey(entry.key).name;
  if (root.name !== `${logName}/root`) {
    throw new MalformedError('log-key/1', `${root.name} is no root key of the log ${logName}`);
  }
  if (verifyEd25519(root.publicKey, logKeyMessage(entry), fromBase64(entry.signature))) return;
  throw new SignatureError(`the root key of ${logName} did not sign the step from ${entry.previous} to ${entry.key}`);
}
