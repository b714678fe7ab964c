import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { runVerify } from '../../src/cli/verify.ts';
import { openCheckpoint } from '../../src/core/checkpoint.ts';
import { parseBundle } from '../../src/core/entry-bundle.ts';
import { openKeysNote } from '../../src/core/keys-note.ts';
import { checkConsistency, leafHash, proveConsistency, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { parseVkey } from '../../src/core/note.ts';
import { bundlePath, tilePath } from '../../src/core/tile.ts';
import { createTileReader } from '../../src/core/tile-reader.ts';
import { madePackage } from '../support/made-package.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const PROGRAM = join(import.meta.dirname, '../support/origin-until.ts');

/**
 * Every step of an origin at which a crash leaves something half done, in the order in which one install passes them,
 * and which time it is: the log's own steps come at its first start, too.
 */
const STEPS: readonly (readonly [step: string, time: number])[] = [
  ['intake:blobs-stored', 1],
  ['journal:appended', 2],
  ['log:signed', 2],
  ['journal:folded', 2],
  ['intake:journaled', 1],
  ['tarball:stored', 1],
  ['tarball:chunks-stored', 1],
  ['tarball:measured', 1],
];
/** Nobody waits for these: the client may have its answer by then. */
const UNAWAITED = ['tarball:chunks-stored', 'tarball:measured'];
const FIRST_STEPS = ['journal:appended', 'log:signed', 'journal:folded'];

function spawnOriginUntil(t: TestContext, data: string, upstream: Upstream, step: string[]): ChildProcess {
  const args = [PROGRAM, data, upstream.url, ...step];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function startOriginUntil(t: TestContext, data: string, upstream: Upstream, step: string[] = []) {
  const child = spawnOriginUntil(t, data, upstream, step);
  assert.ok(child.stdout);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, url: line.replace('open-registry origin ready ', '') };
}

/** What a client asks for; rejects when the origin dies under it. */
async function install(url: string): Promise<{ latest: string; tarball: Buffer }> {
  const packument = (await (await fetch(`${url}/alpha`)).json()) as { 'dist-tags': { latest: string } };
  const answer = await fetch(`${url}/alpha/-/alpha-1.0.0.tgz`);
  assert.equal(answer.status, 200);
  return { latest: packument['dist-tags'].latest, tarball: Buffer.from(await answer.arrayBuffer()) };
}

async function verifies(data: string): Promise<void> {
  const lines: string[] = [];
  const exit = await runVerify(data, (line) => lines.push(line));
  assert.equal(exit, 0, lines.join('\n'));
}

/** A note without the cosignatures beneath the log's signature, which have a time in them. */
const signedByLog = (note: string): string => note.split('\n').slice(0, 5).join('\n');

/** The newest checkpoint, after it was found to be that of the entries that are served with it. */
async function checkpointOf(url: string): Promise<{ note: string; head: TreeHead }> {
  const vkey = openKeysNote(await (await fetch(`${url}/-/federation/keys`)).text(), null).log;
  const note = await (await fetch(`${url}/-/federation/checkpoint`)).text();
  const { size, root } = openCheckpoint(note, [vkey], parseVkey(vkey).name).checkpoint;
  const bundle = await fetch(`${url}/-/federation/${bundlePath({ index: 0, width: size })}`);
  const entries = parseBundle(new Uint8Array(await bundle.arrayBuffer()), size);
  assert.deepEqual(root, rootHash(entries.map(leafHash)));
  return { note, head: { size, root } };
}

async function checkConsistent(url: string, old: TreeHead, head: TreeHead): Promise<void> {
  const read = createTileReader(head, (tiles) =>
    Promise.all(tiles.map(async (tile) => (await fetch(`${url}/-/federation/${tilePath(tile)}`)).bytes())),
  );
  checkConsistency(await proveConsistency(old.size, head.size, read), old, head);
}

for (const [step, time] of STEPS) {
  test(`an origin that is killed at ${step} goes on from what was committed`, async (t) => {
    const upstream = await startUpstream(t, { signed: false });
    // Without keys the first entry in the journal is the one under test.
    upstream.keys.length = 0;
    const made = madePackage('alpha', { '1.0.0': {} });
    upstream.packages.put(made);
    const data = join(tempFolder(), 'data');
    const { child, url } = await startOriginUntil(t, data, upstream, [step, `${time}`]);
    const before = await checkpointOf(url);
    const exited = once(child, 'exit');
    const installing = install(url);
    await (UNAWAITED.includes(step) ? Promise.allSettled([installing]) : assert.rejects(installing));
    assert.deepEqual(await exited, [null, 'SIGKILL']);
    await verifies(data);

    const again = await startOriginUntil(t, data, upstream);
    await checkConsistent(again.url, before.head, (await checkpointOf(again.url)).head);
    assert.deepEqual(await install(again.url), { latest: '1.0.0', tarball: made.tarballs['1.0.0'] });
    again.child.kill('SIGTERM');
    assert.deepEqual(await once(again.child, 'exit'), [0, null]);
    await verifies(data);
  });
}

for (const step of FIRST_STEPS) {
  test(`an origin whose first start is cut off at ${step} has one checkpoint after the next`, async (t) => {
    const upstream = await startUpstream(t, { signed: false });
    upstream.keys.length = 0;
    const data = join(tempFolder(), 'data');
    const [exit] = await once(spawnOriginUntil(t, data, upstream, [step]), 'exit');
    assert.equal(exit, null);
    const { child, url } = await startOriginUntil(t, data, upstream);
    const { note, head } = await checkpointOf(url);
    assert.equal(head.size, 1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const again = await startOriginUntil(t, data, upstream);
    assert.equal(signedByLog((await checkpointOf(again.url)).note), signedByLog(note));
  });
}
