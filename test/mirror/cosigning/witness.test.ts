import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext, test } from 'node:test';
import { formatAddCheckpoint } from '../../../src/core/add-checkpoint.ts';
import { toBase64 } from '../../../src/core/bytes.ts';
import { openCosignatures } from '../../../src/core/cosignature.ts';
import { openCosigned } from '../../../src/core/cosigned.ts';
import { UsageError } from '../../../src/core/errors.ts';
import { leafHash, proveConsistency } from '../../../src/core/merkle.ts';
import { addSignatureLines, splitNote } from '../../../src/core/note.ts';
import { logHash, openCosigner } from '../../../src/io/cosigner.ts';
import { openCosignerKey } from '../../../src/io/key-file.ts';
import { ask, type Reply } from '../../support/ask.ts';
import { startWitness } from '../../support/cosigners.ts';
import { readerOf } from '../../support/hash-reader.ts';
import { Printed } from '../../support/printed.ts';
import { LOG_NAME, makeLogKeys, SignedLog, vkeyOf } from '../../support/signed-log.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const keys = makeLogKeys();
const LOG = { name: LOG_NAME, vkeys: [vkeyOf(keys.log)] };
const log = new SignedLog(keys).growTo(300);
const leaves = log.entries.map(leafHash);

/** The body of a request to cosign the log at one size, proven from another. */
async function growth(oldSize: number, size: number, note?: string): Promise<string> {
  const proof = oldSize === 0 || oldSize === size ? [] : await proveConsistency(oldSize, size, readerOf(leaves));
  return formatAddCheckpoint({ oldSize, proof, note: note ?? (await log.note(size)) });
}

const add = (url: string, body: string): Promise<Reply> => ask(`${url}/add-checkpoint`, { method: 'POST', body });

const latest = (url: string): Promise<Reply> => ask(`${url}/${logHash(LOG_NAME)}/checkpoint`);

/** Checks a cosignature that a witness answered with, and gives back when it was made. */
async function cosignedAt({ body }: Reply, size: number, vkey: string): Promise<number> {
  const [found] = openCosignatures(addSignatureLines(await log.note(size), [body.toString()]), [vkey]);
  assert.ok(found);
  return found.time;
}

describe('a witness', () => {
  it('cosigns what continues what it cosigned before, and shows the newest', async (t) => {
    let now = 1_750_000_000_500;
    const { url, vkey } = await startWitness(t, LOG, { now: () => now });
    assert.equal((await latest(url)).status, 404);
    const first = await add(url, await growth(0, 5));
    assert.equal(first.status, 200);
    assert.match(first.headers['content-type'] ?? '', /^text\/plain/);
    assert.equal(await cosignedAt(first, 5, vkey), 1_750_000_000);
    now += 7_000;
    const second = await add(url, await growth(5, 300));
    assert.equal(await cosignedAt(second, 300, vkey), 1_750_000_007);
    const shown = openCosigned((await latest(url)).body.toString(), vkey);
    assert.deepEqual([shown.checkpoint.size, shown.time], [300, 1_750_000_007]);
  });

  it('cosigns the same tree anew, as of now', async (t) => {
    let now = 1_750_000_000_000;
    const { url, vkey } = await startWitness(t, LOG, { now: () => now });
    await add(url, await growth(0, 9));
    now += 60_000;
    assert.equal(await cosignedAt(await add(url, await growth(9, 9)), 9, vkey), 1_750_000_060);
  });

  it('passes on no signature of strangers', async (t) => {
    const { url } = await startWitness(t, LOG);
    const stranger = `— stranger ${toBase64(new Uint8Array(76).fill(1))}\n`;
    const note = addSignatureLines(await log.note(4), [stranger]);
    assert.equal((await add(url, await growth(0, 4, note))).status, 200);
    const { signatures } = splitNote((await latest(url)).body);
    assert.deepEqual(signatures.map(({ name }) => name).sort(), [LOG_NAME, 'witness/test'].sort());
  });

  describe('refuses, as C2SP tlog-witness says', () => {
    const other = new SignedLog(keys).growTo(40);
    const cases: [string, number, () => Promise<string>][] = [
      ['what is no request', 400, async () => 'old x\n\nlog\n'],
      ['an old size above the new one', 400, () => badOld()],
      ['a log that it does not know', 404, async () => foreign('log.example/other')],
      ['what another key signed', 403, async () => growth(0, 20, await log.note(20, makeLogKeys().log))],
      ['a proof that proves nothing', 422, async () => wrongProof()],
      ['a proof where there is nothing to prove', 422, async () => needless()],
      ['another tree of the same size', 422, async () => growth(20, 20, await fork().note(20))],
    ];
    const fork = () => other.fork(3).growTo(20);
    const badOld = async () => formatAddCheckpoint({ oldSize: 21, proof: [], note: await log.note(20) });
    const foreign = async (name: string) => {
      const note = (await log.note(20)).replaceAll(LOG_NAME, name);
      return formatAddCheckpoint({ oldSize: 0, proof: [], note });
    };
    const wrongProof = async () => {
      const proof = await proveConsistency(20, 30, readerOf(leaves));
      return formatAddCheckpoint({ oldSize: 20, proof: proof.reverse(), note: await log.note(30) });
    };
    const needless = async () =>
      formatAddCheckpoint({ oldSize: 20, proof: [new Uint8Array(32)], note: await log.note(20) });

    for (const [what, status, body] of cases) {
      it(`${what}: ${status}`, async (t) => {
        const { url } = await startWitness(t, LOG);
        assert.equal((await add(url, await growth(0, 20))).status, 200);
        assert.equal((await add(url, await body())).status, status);
        assert.equal(openCheckpointSize(await latest(url)), 20);
      });
    }

    it('a size that it is not at: 409, and says where it is', async (t) => {
      const { url } = await startWitness(t, LOG);
      await add(url, await growth(0, 20));
      for (const oldSize of [0, 10]) {
        const { status, headers, body } = await add(url, await growth(oldSize, 30));
        assert.deepEqual([status, headers['content-type'], body.toString()], [409, 'text/x.tlog.size', '20\n']);
      }
    });

    it('other methods and paths', async (t) => {
      const { url } = await startWitness(t, LOG);
      assert.equal((await ask(`${url}/add-checkpoint`)).status, 405);
      assert.equal((await ask(`${url}/${'0'.repeat(64)}/checkpoint`)).status, 404);
      assert.equal((await ask(`${url}/../checkpoint`)).status, 404);
    });

    it('a body that is too large, before it is read', async (t) => {
      const { url } = await startWitness(t, LOG);
      assert.equal((await add(url, 'x'.repeat(2 ** 18))).status, 413);
    });
  });

  it('cosigns one of many that come at once, and sends the others to it', async (t) => {
    const { url, vkey, answered } = await startWitness(t, LOG);
    await add(url, await growth(0, 10));
    const sizes = Array.from({ length: 24 }, (_, at) => 11 + at);
    const replies = await Promise.all(sizes.map(async (size) => add(url, await growth(10, size))));
    const good = replies.filter(({ status }) => status === 200);
    assert.equal(good.length, 1);
    assert.deepEqual(new Set(answered.slice(1)), new Set([200, 409]));
    const size = openCheckpointSize(await latest(url));
    assert.equal(
      await cosignedAt(good[0] as Reply, size, vkey),
      openCosigned((await latest(url)).body.toString(), vkey).time,
    );
    assert.ok(replies.every(({ status, body }) => status === 200 || body.toString() === `${size}\n`));
  });
});

describe('the memory of a cosigner', () => {
  it('outlives a restart, with the same answer', async (t) => {
    const first = await startWitness(t, LOG);
    await add(first.url, await growth(0, 20));
    const shown = (await latest(first.url)).body.toString();
    await first.close();
    const second = await startWitness(t, LOG, { dir: first.dir });
    assert.equal((await latest(second.url)).body.toString(), shown);
    assert.equal((await add(second.url, await growth(0, 30))).body.toString(), '20\n');
  });

  it('is not made up when it can’t be read', async () => {
    const { dir, file } = await remembered();
    const intact = await readFile(file, 'utf8');
    for (const wrong of ['', intact.replace('\n20\n', '\n21\n'), intact.slice(0, -10)]) {
      await writeFile(file, wrong);
      await assert.rejects(reopened(dir), UsageError);
    }
    await writeFile(file, intact);
    assert.equal((await reopened(dir)).latest(logHash(LOG_NAME))?.checkpoint.size, 20);
  });

  async function remembered(): Promise<{ dir: string; file: string }> {
    const dir = tempFolder();
    await (await reopened(dir)).cosign(await log.note(20), null);
    return { dir, file: join(dir, 'cosigned/witness', `${logHash(LOG_NAME)}.note`) };
  }

  async function reopened(dir: string) {
    return openCosigner(dir, 'witness', await openCosignerKey(dir, 'witness.key', 'witness/test'), Date.now);
  }
});

test('a witness that is killed at any moment never forgets what it gave out', async (t) => {
  const dir = tempFolder();
  let acknowledged = 0;
  for (const pushes of [1, 4, 2, 7, 3]) {
    const { url, kill } = await startProcess(t, dir);
    const told = await sizeTold(url);
    assert.ok(told >= acknowledged, `it gave out a cosignature of ${acknowledged}, and remembers ${told}`);
    acknowledged = told;
    for (let pushed = 0; pushed < pushes; pushed++) {
      const reply = await add(url, await growth(acknowledged, acknowledged + 1));
      assert.equal(reply.status, 200, reply.body.toString());
      acknowledged += 1;
    }
    // Killed while one more is on its way: it may have been remembered, or not.
    const last = add(url, await growth(acknowledged, acknowledged + 1)).then(
      ({ status }) => status === 200,
      () => false,
    );
    await Promise.all([kill(), last]);
    if (await last) acknowledged += 1;
  }
  assert.ok(acknowledged >= 17);
});

/** Where a witness is: what it answers to a request that begins elsewhere. */
async function sizeTold(url: string): Promise<number> {
  const { status, body } = await add(url, await growth(299, 300));
  assert.equal(status, 409, body.toString());
  return Number(body.toString());
}

async function startProcess(t: TestContext, dir: string): Promise<{ url: string; kill: () => Promise<unknown> }> {
  const script = join(import.meta.dirname, '../../support/witness-process.ts');
  const child = spawn(process.execPath, [script, dir, LOG_NAME, ...LOG.vkeys], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [[, url = ''] = []] = await new Printed(child).until(/^ready (\S+)/, 1);
  const kill = () => {
    const gone = once(child, 'close');
    child.kill('SIGKILL');
    return gone;
  };
  return { url, kill };
}

function openCheckpointSize({ body }: Reply): number {
  return Number(body.toString().split('\n')[1]);
}
