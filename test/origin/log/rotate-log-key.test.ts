import assert from 'node:assert/strict';
import { cpSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { rotateKeys } from '../../../src/cli/keys.ts';
import { runVerify } from '../../../src/cli/verify.ts';
import { formatCheckpoint, openCheckpoint } from '../../../src/core/checkpoint.ts';
import { CHECKPOINT_HEADER, formatCheckpointHeader } from '../../../src/core/checkpoint-header.ts';
import { type LogKey, parseEntry } from '../../../src/core/entry.ts';
import { ConflictError, LogHaltedError, UsageError } from '../../../src/core/errors.ts';
import { formatKeysNoteText, openKeysNote } from '../../../src/core/keys-note.ts';
import { checkLogKey } from '../../../src/core/log-key.ts';
import { signNote } from '../../../src/core/note.ts';
import { openDataDir } from '../../../src/io/data-dir.ts';
import { createEvidenceFolder } from '../../../src/io/evidence-folder.ts';
import { openOriginKeys, openRootKey } from '../../../src/io/key-file.ts';
import { createLogger } from '../../../src/io/logger.ts';
import { openOriginStores } from '../../../src/io/stores.ts';
import { type RotationStep, rotateLogKey } from '../../../src/origin/log/rotate-log-key.ts';
import { makeSmallMirror, makeSmallOrigin } from '../../support/storage/small-origin.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const base = join(tempFolder(), 'base');
await makeSmallOrigin(base);
const oldKey = (await openOriginKeys(base)).log.vkey;
const logger = createLogger({ role: 'origin', level: 'silent' });

function copyOf(dir: string): string {
  const copy = join(tempFolder(), 'data');
  cpSync(dir, copy, { recursive: true });
  return copy;
}

/** The entries that change the key, each of them checked. */
async function logKeys(dir: string): Promise<LogKey[]> {
  const stores = await openOriginStores(dir);
  const entries = (await stores.metadata.entries(0, 1_000)).map(parseEntry).filter((entry) => entry.kind === 'log-key');
  const { rootVkey } = await openOriginKeys(dir);
  for (const entry of entries) checkLogKey(entry, rootVkey);
  for (const { key } of entries) assert.ok(await stores.metadata.get('log-key', key));
  await stores.close();
  return entries;
}

const nextFiles = (dir: string) => readdirSync(join(dir, 'keys')).filter((name) => name.endsWith('.next'));

/** The key that signs a running origin's newest checkpoint, which its keys note names as well. */
async function signerOf(origin: WholeOrigin): Promise<string> {
  const keys = openKeysNote((await origin.ask('/-/federation/keys')).body, null);
  const note = (await origin.ask('/-/federation/checkpoint')).body.toString();
  openCheckpoint(note, [keys.log], keys.log.split('+')[0] as string);
  return keys.log;
}

async function verifies(dir: string): Promise<void> {
  const lines: string[] = [];
  assert.equal(await runVerify(dir, (line) => lines.push(line)), 0, lines.join('\n'));
}

test('after a rotation the new key signs, and the log says so by the root key', async (t) => {
  const data = copyOf(base);
  const lines: string[] = [];
  await rotateKeys(data, null, (line) => lines.push(line));
  const [entry, ...more] = await logKeys(data);
  assert.deepEqual([entry?.previous, more], [oldKey, []]);
  assert.deepEqual(lines.slice(0, 2), [`verifier key  ${entry?.key}`, `in place of   ${oldKey}`]);
  assert.deepEqual(nextFiles(data), []);
  await verifies(data);
  const origin = await startWholeOrigin(t, { config: { data } });
  assert.equal(await signerOf(origin), entry?.key);
  origin.put('alpha');
  assert.equal((await origin.ask('/alpha')).status, 200);
  assert.equal(await signerOf(origin), entry?.key);
  await assert.rejects(
    rotateKeys(data, null, () => undefined),
    ConflictError,
  );
});

test('it can be done again and again, with a root key that is kept elsewhere', async () => {
  const data = copyOf(base);
  const rootKey = join(tempFolder(), 'root.key');
  renameSync(join(data, 'keys', 'root.key'), rootKey);
  await assert.rejects(
    rotateKeys(data, null, () => undefined),
    /root\.key is missing/,
  );
  for (let time = 0; time < 3; time++) await rotateKeys(data, rootKey, () => undefined);
  const entries = await logKeys(data);
  assert.deepEqual(
    entries.map(({ previous }) => previous),
    [oldKey, ...entries.slice(0, -1).map(({ key }) => key)],
  );
  assert.equal((await openOriginKeys(data)).log.vkey, entries.at(-1)?.key);
  await verifies(data);
});

test('the root key of another log, and a folder without an origin, are refused', async () => {
  const [data, other, mirror] = [copyOf(base), join(tempFolder(), 'other'), join(tempFolder(), 'mirror')];
  await makeSmallOrigin(other);
  await makeSmallMirror(mirror);
  await assert.rejects(
    rotateKeys(data, join(other, 'keys', 'root.key'), () => undefined),
    /is not the root key of/,
  );
  assert.deepEqual(nextFiles(data), []);
  for (const dir of [tempFolder(), mirror]) {
    await assert.rejects(
      rotateKeys(dir, null, () => undefined),
      UsageError,
    );
  }
});

test('while the log is halted its key stays', async () => {
  const data = copyOf(base);
  const { log, logName } = await openOriginKeys(data);
  const text = formatCheckpoint({ origin: logName, size: 1_000, root: new Uint8Array(32), extensions: [] });
  await createEvidenceFolder(join(data, 'evidence'), '.note').keep('checkpoint.note', await signNote(text, [log]));
  await assert.rejects(
    rotateKeys(data, null, () => undefined),
    LogHaltedError,
  );
  assert.deepEqual([nextFiles(data), await logKeys(data)], [[], []]);
});

test('whoever has the key that was replaced can’t halt the log with it', async (t) => {
  const data = copyOf(base);
  const { log, logName } = await openOriginKeys(data);
  const text = formatCheckpoint({ origin: logName, size: 1_000, root: new Uint8Array(32), extensions: [] });
  const stolen = await signNote(text, [log]);
  await rotateKeys(data, null, () => undefined);
  await createEvidenceFolder(join(data, 'evidence'), '.note').keep('checkpoint.note', stolen);
  const origin = await startWholeOrigin(t, { config: { data } });
  const headers = { [CHECKPOINT_HEADER]: formatCheckpointHeader(stolen) };
  await origin.ask('/-/federation/checkpoint', { headers });
  origin.put('alpha');
  assert.equal((await origin.ask('/alpha')).status, 200);
  assert.equal(JSON.parse((await origin.ask('/-/healthz')).body.toString()).status, 'ok');
});

test('a note from before there was a cosigner is pointed out, and renewed by a rotation', async (t) => {
  const data = copyOf(base);
  const keys = await openOriginKeys(data);
  const root = await openRootKey(join(data, 'keys', 'root.key'), keys);
  const { cosigner: _, ...earlier } = openKeysNote(keys.note, null);
  const rootKey = join(tempFolder(), 'root.key');
  renameSync(join(data, 'keys', 'root.key'), rootKey);
  writeFileSync(join(data, 'keys', 'keys.note'), await signNote(formatKeysNoteText(earlier), [root, keys.log]));
  const said = ({ msg }: { msg: string }) => /does not name the cosigner key/.test(msg);
  const before = await startWholeOrigin(t, { config: { data } });
  assert.equal((await before.log.until(said)).level, 'warn');
  await before.close();
  await rotateKeys(data, rootKey, () => undefined);
  const after = await startWholeOrigin(t, { config: { data } });
  assert.equal(openKeysNote((await after.ask('/-/federation/keys')).body, null).cosigner, keys.cosigner.vkey);
  assert.equal(after.log.lines.some(said), false);
});

/** A rotation that ends at a step, as a crash would end it. */
async function rotateUntil(dir: string, fatal: RotationStep): Promise<void> {
  const data = await openDataDir(dir, 'origin');
  const stores = await openOriginStores(dir);
  const step = (name: RotationStep) => {
    if (name === fatal) throw new Error('crash');
  };
  const rootKeyFile = join(dir, 'keys', 'root.key');
  await assert.rejects(rotateLogKey({ dir, stores, rootKeyFile, logger, now: () => 0, step }), /crash/);
  await stores.close();
  await data.close();
}

const steps: [step: RotationStep, isDone: boolean][] = [
  ['keys:prepared', false],
  ['journal:appended', true],
  ['journal:folded', true],
  ['keys:taken', true],
];
for (const [step, isDone] of steps) {
  test(`a rotation that is cut off at ${step} is ${isDone ? 'finished' : 'forgotten'} by the next start`, async (t) => {
    const data = copyOf(base);
    await rotateUntil(data, step);
    const origin = await startWholeOrigin(t, { config: { data } });
    const key = await signerOf(origin);
    assert.equal(key !== oldKey, isDone);
    assert.deepEqual(nextFiles(data), []);
    await origin.close();
    assert.deepEqual(
      (await logKeys(data)).map((entry) => entry.key),
      isDone ? [key] : [],
    );
    await verifies(data);
  });
}

test('one that is cut off between the two files is finished, by a start or by the command', async () => {
  const data = copyOf(base);
  await rotateUntil(data, 'journal:folded');
  renameSync(join(data, 'keys', 'log.key.next'), join(data, 'keys', 'log.key'));
  await assert.rejects(openOriginKeys(data), /a change of the log key in .* was cut off; start the origin once/);
  const lines: string[] = [];
  await rotateKeys(data, null, (line) => lines.push(line));
  assert.match(lines[0] ?? '', /is finished now/);
  const [entry, ...more] = await logKeys(data);
  assert.deepEqual([(await openOriginKeys(data)).log.vkey, more], [entry?.key, []]);
});
