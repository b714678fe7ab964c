import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { runVerify } from '../../src/cli/verify.ts';
import { madePackage } from '../support/made-package.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const PROGRAM = join(import.meta.dirname, '../support/origin-until.ts');

/** Every step of an origin at which a crash leaves something half done, in the order in which one install passes them. */
const STEPS = [
  'intake:blobs-stored',
  'journal:appended',
  'journal:folded',
  'intake:journaled',
  'tarball:stored',
  'tarball:chunks-stored',
  'tarball:measured',
];

async function startOriginUntil(t: TestContext, data: string, upstream: Upstream, step?: string) {
  const args = [PROGRAM, data, upstream.url, ...(step ? [step] : [])];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
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

for (const step of STEPS) {
  test(`an origin that is killed at ${step} goes on from what was committed`, async (t) => {
    const upstream = await startUpstream(t, { signed: false });
    // Without keys the first entry in the journal is the one under test.
    upstream.keys.length = 0;
    const made = madePackage('alpha', { '1.0.0': {} });
    upstream.packages.put(made);
    const data = join(tempFolder(), 'data');
    const { child, url } = await startOriginUntil(t, data, upstream, step);
    const exited = once(child, 'exit');
    await assert.rejects(install(url));
    assert.deepEqual(await exited, [null, 'SIGKILL']);
    await verifies(data);

    const again = await startOriginUntil(t, data, upstream);
    assert.deepEqual(await install(again.url), { latest: '1.0.0', tarball: made.tarballs['1.0.0'] });
    again.child.kill('SIGTERM');
    assert.deepEqual(await once(again.child, 'exit'), [0, null]);
    await verifies(data);
  });
}
