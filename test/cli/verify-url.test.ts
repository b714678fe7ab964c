import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { runVerify } from '../../src/cli/verify.ts';
import { runVerifyUrl, type VerifyUrlOptions } from '../../src/cli/verify-url.ts';
import { toBase64, utf8 } from '../../src/core/bytes.ts';
import { cosign } from '../../src/core/cosignature.ts';
import { formatEntry } from '../../src/core/entry.ts';
import { UsageError } from '../../src/core/errors.ts';
import { sha512Hex } from '../../src/core/hash.ts';
import { signLogKey } from '../../src/core/log-key.ts';
import { addSignatureLines, COSIGNATURE_TYPE, formatVkey, splitNote } from '../../src/core/note.ts';
import { startMeddler } from '../support/meddler.ts';
import { type LogServer, learned, newSigner, SignedLog, serveLog, vkeyOf } from '../support/signed-log.ts';
import { startLivedInOrigin } from '../support/storage/lived-in-origin.ts';
import { startTestMirror } from '../support/test-mirror.ts';
import type { Fault } from '../support/upstream-faults.ts';
import type { WholeOrigin } from '../support/whole-origin.ts';

type Verified = { readonly code: number; readonly text: string };

async function verify(url: string, options: VerifyUrlOptions = {}): Promise<Verified> {
  const lines: string[] = [];
  const code = await runVerifyUrl(url, options, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}

const SOUND = /\nnothing wrong was found; whether others are shown the same log, only .* can tell$/;

let origin: WholeOrigin;
/** Ends what the origin is made of when all tests have. */
const ends: (() => unknown)[] = [];
before(async () => {
  origin = await startLivedInOrigin({ after: (end: () => unknown) => ends.push(end) } as unknown as TestContext);
});
test.after(async () => {
  for (const end of ends.reverse()) await end();
});

test('verify URL says what it checked of a sound origin', async () => {
  const { code, text } = await verify(origin.door);
  const size = /note: (\d+) entries, root [\w+/]{43}=\n/.exec(text)?.[1];
  const expected = `${origin.door} (origin)
  keys        1 keys note: signed by its root key and its log key
              note: believed because this server shows it, as no --key was given: VKEY
  checkpoint  1 checkpoint: of this log, signed by its key
              note: ${size} entries, root ROOT
  log         1 checkpoint, ${size} entries, 1 tile: tiles and root as the entries make them
  journal     ${size} entries: all canonical, in the order of time
              note: the last one is from TIME
  packages    3 packages, 2 heads: pages and both forms as their heads say
  versions    3 versions: manifests with the pinned hash, abbreviated by the rule
  measured    1 chunk list: with the roots that were measured
  tarballs    2 tarballs, BYTES bytes: each with the hash that its version pins
              note: not checked: 1, as the server answered with status 502
nothing wrong was found; whether others are shown the same log, only a look at the size and root that they see can tell`;
  const shown = text
    // The origin's own cosignature comes when it has the time.
    .replace(/, 1 cosignature(: of this log.*(\n.*){1})\n +note: cosigned by its origin at \S+Z$/m, '$1')
    .replace(/open-registry\/\S+$/m, 'VKEY')
    .replace(/[\w+/]{43}=$/m, 'ROOT')
    .replace(/\d{4}-\S+Z$/m, 'TIME')
    .replace(/\d+ bytes/, 'BYTES bytes');
  assert.equal(shown, expected);
  assert.equal(code, 0);
});

test('verify URL takes as many tarballs as it is told', async () => {
  const { code, text } = await verify(origin.door, { tarballs: '0' });
  assert.match(text, /tarballs {4}nothing\n +note: not looked at: 3 others; --tarballs N says how many to take/);
  assert.equal(code, 0);
});

test('verify URL believes no other keys than --key names', async () => {
  const keys = (await origin.ask('/-/federation/keys')).body.toString();
  const [, log = '', root = ''] = /log (\S+)\nroot (\S+)/.exec(keys) ?? [];
  for (const key of [log, root]) {
    const { code, text } = await verify(origin.door, { key });
    assert.match(text, SOUND);
    assert.doesNotMatch(text, /believed because/);
    assert.equal(code, 0);
  }
  const { code, text } = await verify(origin.door, { key: vkeyOf(newSigner('log.example')) });
  assert.match(
    text,
    /keys +nothing\n +WRONG keys note: the keys are those of another origin, or its log key was replaced: expected log\.example/,
  );
  assert.doesNotMatch(text, /checkpoint/);
  assert.equal(code, 1);
});

describe('verify URL finds at an origin', () => {
  /** Other entries in an answer that may be compressed. */
  const changed = (change: (bytes: Buffer) => Buffer) => (body: Buffer) =>
    body[0] === 0x1f && body[1] === 0x8b ? gzipSync(change(gunzipSync(body))) : change(body);
  const replaced = (from: string, to: string) =>
    changed((bytes) => Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1'));
  const faults: readonly [string, RegExp, Fault, RegExp][] = [
    ['a keys note with a wrong signature', /\/keys$/, 'corrupt', /keys +nothing\n +WRONG keys note: /],
    [
      'a page where the checkpoint should be',
      /\/checkpoint$/,
      'html',
      /checkpoint +nothing\n +WRONG checkpoint: malformed/,
    ],
    ['a checkpoint that is missing', /\/checkpoint$/, 'missing', /WRONG checkpoint: checkpoint of \S+: it has none/],
    ['a tile with a wrong bit', /\/tile\/0\//, 'corrupt', /log .*\n +WRONG tile\/0\/000\.p\/\d+: hash \d+ is not what/],
    ['a tile that is missing', /\/tile\/0\//, 'missing', /WRONG tile\/0\/000\.p\/\d+: .* it has no such tile/],
    [
      'a tile that is too short',
      /\/tile\/0\//,
      (body) => body.subarray(32),
      /WRONG tile\/0\/000\.p\/\d+: .* \d+ bytes from \S+ instead of \d+/,
    ],
    [
      'an entry that is another one',
      /\/tile\/entries\//,
      replaced('the author confirmed', 'nobody ever affirmed'),
      /log .*\n +WRONG checkpoint: its root is .*\n +WRONG tile\/0\/000\.p\/\d+: hash \d+ is/,
    ],
    [
      'an entry that is left out',
      /\/tile\/entries\//,
      changed((bytes) => bytes.subarray(0, -50)),
      /log +1 checkpoint\n +WRONG journal: tile\/entries\/.* is no bundle/,
    ],
    ['a wrong head', /\/head\//, 'corrupt', /packages .*(\n.*)*WRONG alpha: wrong bytes from .*: expected sha256:/],
    [
      'a head that is missing',
      /\/head\//,
      'missing',
      /WRONG alpha: the head \w{64} is not there, though an origin holds/,
    ],
    ['wrong blobs', /\/blob\/sha256\//, 'corrupt', /WRONG alpha: wrong bytes from .*: expected sha256:/],
    ['blobs that are missing', /\/blob\/sha256\//, 'missing', /measured +nothing\n +WRONG sha512:\w+: the chunk list/],
    ['wrong tarballs', /\/blob\/sha512\//, 'corrupt', /tarballs +nothing\n.*\n +WRONG \S+@\S+: wrong bytes/],
    ['tarballs that are missing', /\/blob\/sha512\//, 'missing', /WRONG \S+@\S+: its origin does not know the tarball/],
  ];
  for (const [title, path, fault, expected] of faults) {
    test(title, async (t) => {
      const liar = await startMeddler(t, origin.door);
      liar.fault(({ url = '' }) => path.test(url), fault);
      const { code, text } = await verify(liar.url);
      assert.match(text, expected);
      assert.match(text, /\d+ things? (is|are) wrong$/);
      assert.equal(code, 1);
    });
  }

  test('that nobody answers', async (t) => {
    const { url, refuse } = await startMeddler(t);
    await refuse();
    const { code, text } = await verify(url);
    assert.match(text, /^ {2}server +nothing\n +WRONG http:\S+: /);
    assert.equal(code, 1);
  });
});

describe('verify URL of a signed log', () => {
  const served = (t: TestContext, log: SignedLog): Promise<LogServer> => serveLog(t, log);
  const late = (time: number) => formatEntry({ kind: 'commit', time });

  test('reads full and partial tiles of several levels, and counts what a mirror does not hold', async (t) => {
    const log = new SignedLog().growTo(700).add();
    const { code, text } = await verify((await served(t, log)).url);
    assert.match(text, /^http:\S+ \(mirror\)\n/);
    assert.match(text, /log +1 checkpoint, 701 entries, 4 tiles: tiles and root as the entries make them\n/);
    assert.match(text, /packages +nothing\n +note: not checked, as it is not held there: 699 heads; give/);
    assert.match(text, SOUND);
    assert.equal(code, 0);
  });

  test('finds a wrong full tile of each level', async (t) => {
    const server = await served(t, new SignedLog().growTo(600));
    server.lie(/^tile\/(0\/001|1\/000\.p\/2)$/, (honest) => ({
      ...honest,
      body: (honest.body as Uint8Array).with(40, ((honest.body as Uint8Array)[40] as number) ^ 1),
    }));
    const { text } = await verify(server.url);
    assert.match(text, /WRONG tile\/0\/001: hash 1 .*\n +WRONG tile\/1\/000\.p\/2: hash 1 /);
  });

  test('takes what a mirror does not hold from an origin, if told', async (t) => {
    const { port } = origin;
    const log = new SignedLog().add(learned('nowhere'));
    const { code, text } = await verify((await served(t, log)).url, { origin: `http://localhost:${port}` });
    assert.match(text, /WRONG nowhere: the head \w{64} is not there, though an origin holds all/);
    assert.equal(code, 1);
  });

  const lies: readonly [string, (log: SignedLog) => SignedLog, RegExp][] = [
    [
      'time that runs backwards',
      (log) => log.addRaw(late(1)),
      /journal .*\n.*\n +WRONG entry 2: .* time 1 lies before/,
    ],
    [
      'an entry of no known kind',
      (log) => log.addRaw(utf8('gift/1\ntime 9\n'), late(2_000_000_000_000)),
      /WRONG entry 2: .*gift/,
    ],
    [
      'a checkpoint that ends in no commit',
      (log) => log.addRaw(formatEntry({ ...learned('x'), time: 2_000_000_000_000 } as never)),
      /WRONG checkpoint: .*it ends in entry 2, which is no commit but learned/,
    ],
    [
      'a change of the log key that the root key did not sign',
      (log) => log.add(rotation(log, toBase64(new Uint8Array(64)))),
      /WRONG log keys: the root key of \S+ did not sign/,
    ],
  ];
  for (const [title, make, expected] of lies) {
    test(`finds ${title}`, async (t) => {
      const server = await served(t, make(new SignedLog().add(learned('x'))));
      const { code, text } = await verify(server.url);
      assert.match(text, expected);
      assert.equal(code, 1);
    });
  }

  test('follows changes of the log key to the key that signs', async (t) => {
    const log = new SignedLog().add();
    const next = newSigner(log.keys.log.name);
    const step = { previous: vkeyOf(log.keys.log), key: vkeyOf(next) };
    log.add({ kind: 'log-key', ...step, signature: await signLogKey(step, log.keys.root) });
    const rotated = new SignedLog({ ...log.keys, log: next }, log.entries);
    assert.match((await verify((await served(t, rotated)).url)).text, /journal +3 entries, 1 change of the log key/);
    assert.match((await verify((await served(t, log)).url)).text, /WRONG log keys: the log names \S+ as its key, the/);
  });

  test('checks cosignatures of those it is told of, and says which it could not', async (t) => {
    const log = new SignedLog().add();
    const server = await served(t, log);
    const [known, unknown] = [newSigner('witness.example/known'), newSigner('witness.example/unknown')];
    const note = await log.note();
    const { text: signed } = splitNote(note);
    const lines = await Promise.all([known, unknown].map((signer) => cosign(signed, 1_750_000_000, signer)));
    server.shown = addSignatureLines(note, lines);
    const cosigner = [formatVkey(known.name, known.publicKey, COSIGNATURE_TYPE)];
    const { code, text } = await verify(server.url, { cosigner });
    assert.match(text, /1 checkpoint, 1 cosignature: of this log/);
    assert.match(text, /note: cosigned by witness\.example\/known\+\S+ at 2025-06-15T/);
    assert.match(
      text,
      /note: not checked, as no --cosigner tells their keys: signatures of witness\.example\/unknown\+/,
    );
    assert.equal(code, 0);
    const forged = (lines[0] as string).replace(/.{8}\n$/, 'AAAAAAA=\n');
    server.shown = addSignatureLines(note, [forged]);
    assert.match(
      (await verify(server.url, { cosigner })).text,
      /WRONG checkpoint: .*(cosignature by witness|malformed)/,
    );
  });

  test('says which tarballs can not be looked at', async (t) => {
    const sha512 = sha512Hex(utf8('tarball'));
    const hash = 'a'.repeat(64);
    const pinned = { algorithm: 'sha1', hex: 'b'.repeat(40) } as const;
    const log = new SignedLog().add({ kind: 'measured', pinned, sha512, size: 7, chunks: hash, list: hash });
    const { text } = await verify((await served(t, log)).url);
    assert.match(text, /measured +nothing\n +note: not checked, as it is not held there: 1 chunk lists/);
  });
});

test('verify of a real mirror: by its URL, alone and with its origin, and its folder, running and stopped', async (t) => {
  const mirror = await startTestMirror(t, origin.door);
  await mirror.follower.catchUp();
  const alone = await verify(mirror.url);
  assert.match(
    alone.text,
    /\(mirror\)(\n.*)*packages +1 package:.*\n +note: not checked, as it is not held there: 2 heads;/,
  );
  assert.match(alone.text, SOUND);
  const helped = await verify(mirror.url, { origin: origin.door });
  assert.match(helped.text, /\(mirror\)(\n.*)*packages +3 packages, 2 heads: pages and both forms as their heads say/);
  assert.match(helped.text, SOUND);
  const sound = /log +1 checkpoint, \d+ entries, 1 tile: tiles (.*\n)+all is well$/;
  assert.match(await verifyFolder(mirror.data), sound);
  await mirror.close();
  assert.match(await verifyFolder(mirror.data), sound);
  assert.match(await verifyFolder(origin.data), sound);
});

async function verifyFolder(dir: string): Promise<string> {
  const lines: string[] = [];
  await runVerify(dir, (line) => lines.push(line));
  return lines.join('\n');
}

/** An entry that moves the log to another key. */
function rotation(log: SignedLog, signature: string) {
  const key = vkeyOf(newSigner(log.keys.log.name));
  return { kind: 'log-key' as const, previous: vkeyOf(log.keys.log), key, signature };
}

test('verify URL refuses what can not be meant', async () => {
  const vkey = vkeyOf(newSigner('log.example'));
  const refused: [string, VerifyUrlOptions, RegExp][] = [
    ['http://registry.example', {}, /neither https nor this machine.*give --key/],
    ['https://registry.example/path', {}, /no base URL of a server/],
    ['https://registry.example', { origin: 'ftp://registry.example' }, /no base URL of a server/],
    ['https://registry.example', { key: 'nonsense' }, /^--key: /],
    ['https://registry.example', { cosigner: [vkey] }, /^--cosigner: /],
    ['https://registry.example', { tarballs: 'all' }, /--tarballs takes a number from 0 to/],
  ];
  for (const [url, options, expected] of refused) {
    await assert.rejects(verify(url, options), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, expected);
      return true;
    });
  }
});
