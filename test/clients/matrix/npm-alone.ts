// What npm does by itself, with a plain registry and nothing of ours: the reason why faults.ts can't ask more of npm.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { machineFor, reasonToSkip } from '../../support/client-check.ts';
import { inProject, type Machine } from '../../support/client-run.ts';
import { type Client, everydayClients } from '../../support/client-table.ts';
import { cutShort, type InstalledFiles, installedFiles } from '../../support/installed-files.ts';
import { madePackage, sriOf } from '../../support/made-package.ts';
import { described, type Outcome } from '../../support/run.ts';
import { startUpstream } from '../../support/upstream.ts';

const lateOpen = join(import.meta.dirname, '../../support/late-open.ts');
const manifest = { name: 'application', version: '1.0.0', private: true, dependencies: { large: '1.0.0' } };
const application = { manifest, program: '', says: '', packagesMin: 1, redirectedMin: 0 };
const content = Buffer.from(
  Array.from({ length: 5_000 }, (_, index) => createHash('sha256').update(`${index}`).digest('hex')).join('\n'),
);
const tarball = tarballOf({ 'package.json': Buffer.from('{"name":"large","version":"1.0.0"}'), 'large.txt': content });
/** Too much to arrive at once: npm verifies what does before it unpacks any of it. */
const otherTarball = tarballOf({
  'package.json': Buffer.from('{}'),
  'other.txt': content,
  'node_modules/ms/index.js': Buffer.alloc(1),
});

for (const client of everydayClients.filter(({ command }) => command === 'npm')) {
  test(`${client.label} alone: right after one wrong answer`, { skip: reasonToSkip(client) }, async (t) => {
    const { outcome, machine } = await installAfterWrongAnswer(t, client, {});
    assert.equal(outcome.code, 0, described(outcome));
    assert.deepEqual(await readFile(join(machine.project, 'node_modules/large/large.txt')), content);
  });

  test(`${client.label} alone: says that all went well, and leaves a file cut short, if the disk was slow once`, {
    skip: reasonToSkip(client),
  }, async (t) => {
    const slow = { NODE_OPTIONS: `--import=${lateOpen}`, LATE_FILE: '/large.txt' };
    const { outcome, machine } = await installAfterWrongAnswer(t, client, slow);
    assert.equal(outcome.code, 0, described(outcome));
    assert.deepEqual(cutShort(await installedFiles(machine), await rightFiles(t, client)), ['large/large.txt']);
  });

  test(`${client.label} alone: says that all went well, and leaves what only the wrong answer had`, {
    skip: reasonToSkip(client),
  }, async (t) => {
    const { outcome, machine } = await installAfterWrongAnswer(t, client, {}, () => otherTarball);
    assert.equal(outcome.code, 0, described(outcome));
    const found = await installedFiles(machine);
    assert.deepEqual(
      [...found.keys()].sort(),
      ['large.txt', 'node_modules/ms/index.js', 'other.txt', 'package.json'].map((path) => `large/${path}`),
    );
  });
}

/** From a registry whose first answer for the tarball is wrong; if not told otherwise, in one bit. */
async function installAfterWrongAnswer(
  t: TestContext,
  client: Client,
  env: Record<string, string>,
  wrong = withOneBitWrong,
): Promise<{ outcome: Outcome; machine: Machine }> {
  let answers = 0;
  const { outcome, machine } = await installWith(t, client, env, (body) => {
    answers += 1;
    return answers === 1 ? wrong(body) : body;
  });
  assert.equal(answers, 2);
  return { outcome, machine };
}

async function rightFiles(t: TestContext, client: Client): Promise<InstalledFiles> {
  return installedFiles((await installWith(t, client, {}, (body) => body)).machine);
}

async function installWith(
  t: TestContext,
  client: Client,
  env: Record<string, string>,
  answer: (body: Buffer) => Buffer,
): Promise<{ outcome: Outcome; machine: Machine }> {
  const registry = await startUpstream(t, { signed: false, real: false });
  const made = madePackage('large', { '1.0.0': {} });
  Object.assign(made.packument.versions['1.0.0']?.dist ?? {}, { integrity: sriOf(tarball), shasum: undefined });
  registry.packages.put({ ...made, tarballs: { '1.0.0': tarball } });
  registry.fault(/\.tgz$/, answer);
  const hasty = { ...client, install: [...client.install, ...(client.hasty ?? []), '--no-audit'] };
  const machine = await machineFor(t, hasty, registry.url, { application });
  return { outcome: await inProject(machine, hasty.command, hasty.install, env), machine };
}

function withOneBitWrong(body: Buffer): Buffer {
  const wrong = Buffer.from(body);
  wrong[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
  return wrong;
}

function tarballOf(files: Record<string, Buffer>): Buffer {
  const entries = Object.entries(files).flatMap(([path, body]) => tarEntry(`package/${path}`, body));
  return gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));
}

/** A file in the format of POSIX.1-1988 (ustar): header, content, padding. */
function tarEntry(path: string, body: Buffer): Buffer[] {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write('0000644\0', 100);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0`, 148);
  return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
}
