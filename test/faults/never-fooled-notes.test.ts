// Checkpoints that are not the log's newest word, in every way that a liar without its key can think of, and some that need it.
import { concat, fromBase64, fromHex, toBase64, utf8 } from '../../src/core/bytes.ts';
import { formatCheckpoint } from '../../src/core/checkpoint.ts';
import { cosign } from '../../src/core/cosignature.ts';
import { keyId, splitNote } from '../../src/core/note.ts';
import { type Lie, LOG_NAME, newSigner, type SignedLog } from '../support/signed-log.ts';
import { describeLiar } from '../support/withstands.ts';

const other = newSigner(LOG_NAME);
const stranger = newSigner('stranger.example');

const textOf = (log: SignedLog, origin = LOG_NAME, size = log.size): string =>
  formatCheckpoint({ origin, ...log.head(), size, extensions: [] });
const textWith = (log: SignedLog, at: number, line: string): string =>
  textOf(log).split('\n').with(at, line).join('\n');
const line = (name: string, ...bytes: Uint8Array[]): string => `— ${name} ${toBase64(concat(bytes))}\n`;
const ownId = (log: SignedLog): Uint8Array => fromHex(keyId(LOG_NAME, 1, log.keys.log.publicKey));
const signed = async (log: SignedLog, text: string): Promise<Uint8Array> => await log.keys.log.sign(utf8(text));

/** Texts that the log's own key signed, none of which is a checkpoint of this log. */
const TEXTS: Readonly<Record<string, (log: SignedLog) => string>> = {
  'of another log': (log) => textOf(log, 'log.example/other'),
  'of a log whose name only looks the same': (log) => textOf(log, 'log.еxample/test'),
  'of a log whose name goes on': (log) => textOf(log, `${LOG_NAME} `),
  'with a size of 2^53': (log) => textWith(log, 1, '9007199254740992'),
  'with a size of 2^64': (log) => textWith(log, 1, '18446744073709551616'),
  'with a size of a thousand digits': (log) => textWith(log, 1, '9'.repeat(1_000)),
  'with a negative size': (log) => textWith(log, 1, '-1'),
  'with zeros before its size': (log) => textWith(log, 1, `00${log.size}`),
  'with a plus before its size': (log) => textWith(log, 1, `+${log.size}`),
  'with a size in another notation': (log) => textWith(log, 1, '1e9'),
  'with a size in other digits': (log) => textWith(log, 1, '١٢٣٤'),
  'with a size between two entries': (log) => textWith(log, 1, `${log.size}.5`),
  'without a size': (log) => textWith(log, 1, ''),
  'with half a root': (log) => textWith(log, 2, toBase64(log.head().root.subarray(0, 16))),
  'with a root that is too long': (log) => textWith(log, 2, toBase64(concat([log.head().root, Uint8Array.of(0)]))),
  'with a root in hex': (log) => textWith(log, 2, Buffer.from(log.head().root).toString('hex')),
  'with a root whose base64 has bits left over': (log) => textWith(log, 2, `${'A'.repeat(42)}B=`),
  'that is cut': (log) => textOf(log).split('\n').slice(0, 2).join('\n').concat('\n'),
  'that is a keys note': (log) => `${LOG_NAME}\nlog ${log.size}\n`,
  'with another checkpoint before it': (log) => `${textOf(log)}\n${textOf(log)}`,
};

const LARGEST = Number.MAX_SAFE_INTEGER;

const NOTES: Readonly<Record<string, (log: SignedLog) => Promise<string> | string>> = {
  'signed by a stranger': (log) => log.note(log.size, stranger),
  'signed by another key of the log’s name': (log) => log.note(log.size, other),
  'signed by the root key': (log) => log.note(log.size, log.keys.root),
  'signed by the hosts key': (log) => log.note(log.size, log.keys.hosts),
  'not signed': (log) => textOf(log),
  'with an empty signature': (log) => `${textOf(log)}\n${line(LOG_NAME, ownId(log))}`,
  'with half a signature': async (log) =>
    `${textOf(log)}\n${line(LOG_NAME, ownId(log), (await signed(log, textOf(log))).subarray(0, 32))}`,
  'with the signature of another text': async (log) =>
    `${textOf(log)}\n${line(LOG_NAME, ownId(log), await signed(log, `${textOf(log)}\n`))}`,
  'with another key’s signature under the log’s key ID': async (log) =>
    `${textOf(log)}\n${line(LOG_NAME, ownId(log), await other.sign(utf8(textOf(log))))}`,
  'with a good signature and a bad one of the same key': async (log) =>
    `${await log.note()}${line(LOG_NAME, ownId(log), new Uint8Array(64))}`,
  'cosigned by the log’s key, which is no signature': async (log) =>
    `${textOf(log)}\n${await cosign(textOf(log), 1_800_000_000, log.keys.log)}`,
  'cosigned by the log’s key, under the key ID of its signatures': async (log) => {
    const cosigned = `${textOf(log)}\n${await cosign(textOf(log), 1_800_000_000, log.keys.log)}`;
    const [cosignature] = splitNote(cosigned).signatures;
    return `${textOf(log)}\n${line(LOG_NAME, ownId(log), cosignature?.bytes ?? new Uint8Array(0))}`;
  },
  'with a signature of all kinds under one key ID': async (log) =>
    `${textOf(log)}\n${line(LOG_NAME, ownId(log), utf8('cosignature/v1'), await signed(log, textOf(log)))}`,
  'with a thousand signatures': async (log) =>
    `${await log.note()}${line('x.example', fromBase64('AAAAAAAA')).repeat(1_000)}`,
  'with carriage returns': async (log) => (await log.note()).replaceAll('\n', '\r\n'),
  'with a NUL in it': async (log) => (await log.note()).replace('\n', '\0\n'),
  'with a hyphen for a dash': async (log) => (await log.note()).replace('—', '-'),
  'without its last line feed': async (log) => (await log.note()).slice(0, -1),
  'with text behind it': async (log) => `${await log.note()}\nand more\n`,
  'of the largest tree that there is, of which there are no tiles': async (log) =>
    log.sign(textOf(log, LOG_NAME, LARGEST)),
};

const older = (log: SignedLog): Promise<string> => log.note(log.size - 600);
const told = (note: (log: SignedLog) => Promise<string> | string): Lie => {
  return async (_, _request, log) => ({ status: 200, headers: {}, body: utf8(await note(log)) });
};
const named = (notes: typeof NOTES) => Object.entries(notes).map(([what, note]) => [what, told(note)] as const);
const wrongTexts = Object.entries(TEXTS).map(([what, text]) => [what, told((log) => log.sign(text(log)))] as const);

describeLiar('origin', 'its newest checkpoint, signed, one', /^checkpoint/, wrongTexts);
describeLiar('peer 1', 'the newest checkpoint one', /^checkpoint/, named(NOTES));
describeLiar(
  'origin',
  'its newest checkpoint one that is rightly signed',
  /^checkpoint/,
  named({
    'and older': older,
    'and older, with new words beneath it': async (log) =>
      `${await older(log)}${line('x.example', fromBase64('AAAAAAAA'))}`,
    'and of the time before the first entry': (log) => new (log.constructor as typeof SignedLog)(log.keys).note(),
  }),
  ['older'],
);
