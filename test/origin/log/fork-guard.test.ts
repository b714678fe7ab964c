import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatCheckpoint } from '../../../src/core/checkpoint.ts';
import {
  CHECKPOINT_HEADER,
  formatCheckpointHeader,
  parseCheckpointHeader,
} from '../../../src/core/checkpoint-header.ts';
import { LogHaltedError } from '../../../src/core/errors.ts';
import { signNote } from '../../../src/core/note.ts';
import { createEvidenceFolder } from '../../../src/io/evidence-folder.ts';
import { openForkGuard } from '../../../src/origin/log/fork-guard.ts';
import type { Log } from '../../../src/origin/log/log.ts';
import { exampleSigner } from '../../support/example-keys.ts';
import { LogLines } from '../../support/log-lines.ts';
import { madePackage } from '../../support/made-package.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { LOG_NAME, LOG_VKEY, numbered, openTestLog } from '../../support/test-log.ts';
import { startWholeOrigin } from '../../support/whole-origin.ts';

/** A log with a checkpoint after each of these entries, and a guard over it. */
async function startLog(numbers: readonly number[], folder = tempFolder()) {
  const metadata = new MemoryMetadataStore();
  const lines = new LogLines('origin');
  const evidence = createEvidenceFolder(join(folder, 'evidence'), '.note');
  const before = await openTestLog(metadata);
  const notes = [before.checkpoint()?.note ?? ''];
  before.subscribe(({ note }) => notes.push(note));
  for (const number of numbers) await before.append([numbered(number)]);
  const open = () => openForkGuard({ metadata, vkey: LOG_VKEY, logName: LOG_NAME, evidence, logger: lines.logger });
  const guard = await open();
  const log = await openTestLog(metadata, { guard });
  return { metadata, guard, log, notes, lines, evidence, open };
}

test('what the log itself has signed is agreed with, however old', async () => {
  const { guard, notes, log, evidence } = await startLog([1, 2, 3]);
  for (const note of [...notes, ...notes]) await guard.seen(note);
  await log.append([numbered(4)]);
  await guard.seen(log.checkpoint()?.note ?? '');
  assert.equal(guard.halted(), null);
  assert.deepEqual(await evidence.all(), []);
});

test('what others have signed, or nobody, means nothing', async () => {
  const { guard } = await startLog([1]);
  const other = await startLog([7, 8, 9]);
  const text = formatCheckpoint({ origin: LOG_NAME, size: 99, root: new Uint8Array(32), extensions: [] });
  const foreign = formatCheckpoint({ origin: 'other.example', size: 99, root: new Uint8Array(32), extensions: [] });
  const shown = [
    await signNote(text, [exampleSigner(LOG_NAME, 'a stranger')]),
    await signNote(foreign, [exampleSigner('other.example', 'example log key')]),
    (other.notes.at(-1) as string).replace('\n7\n', '\n8\n'),
    `${text}\n`,
    'nonsense',
    '',
  ];
  for (const note of shown) await guard.seen(note);
  assert.equal(guard.halted(), null);
});

const histories: [why: string, theirs: number[], reason: RegExp][] = [
  ['more entries than are here', [1, 2, 3, 4], /^signed at 9 entries, of which 7 are here$/],
  ['another root for as many entries', [1, 2, 4], /^signed at 7 entries with another root/],
  ['another root for fewer entries', [1, 4], /^signed at 5 entries with another root/],
];
for (const [why, theirs, reason] of histories) {
  test(`a checkpoint of our key with ${why} halts the log, and stays as evidence`, async () => {
    const { guard, log, lines, evidence, open } = await startLog([1, 2, 3]);
    const note = (await startLog(theirs)).notes.at(-1) as string;
    const before = log.checkpoint();
    await guard.seen(note);
    assert.match(guard.halted() ?? '', reason);
    await assert.rejects(log.append([numbered(5)]), LogHaltedError);
    assert.deepEqual(log.checkpoint(), before);
    assert.deepEqual(
      (await evidence.all()).map((kept) => Buffer.from(kept).toString()),
      [note],
    );
    await lines.until(({ level, msg }) => level === 'fatal' && /the log is halted/.test(msg));
    assert.match((await open()).halted() ?? '', reason);
  });
}

test('a log that is halted between append and signature signs nothing more', async () => {
  const metadata = new MemoryMetadataStore();
  let halted = false;
  const mustAgree = () => {
    if (halted) throw new LogHaltedError('signed elsewhere');
  };
  let log: Log | undefined;
  log = await openTestLog(metadata, {
    guard: { mustAgree },
    step: (name) => {
      halted = name === 'journal:appended' && log !== undefined;
    },
  });
  const before = log.checkpoint();
  log.subscribe(() => assert.fail('nothing is published'));
  await assert.rejects(log.append([numbered(1)]), LogHaltedError);
  await log.idle();
  assert.deepEqual(log.checkpoint(), before);
  assert.equal((await metadata.head()).size, 3);
});

test('what waits while the log is halted is not appended', async () => {
  const metadata = new MemoryMetadataStore();
  let halted = false;
  const mustAgree = () => {
    if (halted) throw new LogHaltedError('signed elsewhere');
  };
  const log = await openTestLog(metadata, { guard: { mustAgree } });
  const waiting = log.append([numbered(1)]);
  halted = true;
  await assert.rejects(waiting, LogHaltedError);
  assert.equal(await metadata.size(), 1);
});

test('an origin that was restored from a backup stops, says so, and goes on once the right data are back', async (t) => {
  const data = tempFolder();
  const first = await startWholeOrigin(t, { config: { data } });
  first.put('alpha');
  await first.ask('/alpha');
  await first.ask('/alpha/-/alpha-1.0.0.tgz');
  const { upstream } = first;
  await first.close();
  const backup = tempFolder();
  cpSync(data, backup, { recursive: true });

  const second = await startWholeOrigin(t, { config: { data }, upstream });
  second.put('beta');
  await second.ask('/beta');
  const note = (await second.ask('/-/federation/checkpoint')).body.toString();
  await second.close();

  const restored = await startWholeOrigin(t, { config: { data: backup }, upstream });
  const headers = { [CHECKPOINT_HEADER]: formatCheckpointHeader(note) };
  const answer = await restored.ask('/-/federation/keys', { headers });
  const own = parseCheckpointHeader(answer.headers[CHECKPOINT_HEADER] as string);
  assert.ok((await restored.ask('/-/federation/checkpoint')).body.toString().startsWith(own ?? 'nothing'));
  await restored.log.until(({ msg }) => /the log is halted/.test(msg));

  // What is known is served on, also while its upstream has news of it; nothing new is learned.
  upstream.packages.put(madePackage('alpha', { '1.0.0': {}, '2.0.0': {} }));
  restored.pass(300_000);
  assert.equal((await restored.ask('/alpha')).status, 200);
  assert.equal((await restored.ask('/alpha/-/alpha-1.0.0.tgz')).status, 200);
  const refused = await restored.ask('/beta');
  assert.equal(refused.status, 503);
  assert.match(refused.error ?? '', /takes in nothing new: its log was signed at \d+ entries, of which \d+ are here/);
  const health = JSON.parse((await restored.ask('/-/healthz')).body.toString());
  assert.equal(health.status, 'halted');
  assert.match(health.log.halted, /of which/);
  assert.equal(await restored.metric('log_halted'), 1);
  await restored.close();

  const again = await startWholeOrigin(t, { config: { data: backup }, upstream });
  assert.equal(await again.metric('log_halted'), 1);
  assert.equal((await again.ask('/-/federation/checkpoint')).status, 503);
  assert.equal((await again.ask('/alpha')).status, 200);
  await again.close();

  const [kept] = readdirSync(join(backup, 'evidence'));
  assert.equal(readFileSync(join(backup, 'evidence', kept as string), 'utf8'), note);
  cpSync(join(backup, 'evidence'), join(data, 'evidence'), { recursive: true });
  rmSync(backup, { recursive: true });
  const mended = await startWholeOrigin(t, { config: { data }, upstream });
  assert.equal(await mended.metric('log_halted'), 0);
  assert.equal((await mended.ask('/beta')).status, 200);
});
