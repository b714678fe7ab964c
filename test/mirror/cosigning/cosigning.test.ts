import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { formatAddCheckpoint } from '../../../src/core/add-checkpoint.ts';
import { utf8 } from '../../../src/core/bytes.ts';
import { openCosignatures } from '../../../src/core/cosignature.ts';
import { UsageError } from '../../../src/core/errors.ts';
import { sha256Hex } from '../../../src/core/hash.ts';
import { openKeysNote } from '../../../src/core/keys-note.ts';
import { addSignatureLines, openNote, splitNote } from '../../../src/core/note.ts';
import { openDataDir } from '../../../src/io/data-dir.ts';
import { openOriginKeys } from '../../../src/io/key-file.ts';
import type { LogTimes } from '../../../src/mirror/log/open-log.ts';
import type { WitnessTimes } from '../../../src/origin/cosigning/witness-client.ts';
import { startWitness, type TestWitness } from '../../support/cosigners.ts';
import { SignedLog, serveLog } from '../../support/signed-log.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror, type TestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const WITNESS: WitnessTimes = { paceMs: 10, renewMs: 60_000, pauseMaxMs: 20, timeoutMs: 5_000 };
const QUICK = { cosigningTimes: { beatPaceMs: 10, paceMs: 5 } };
const OFTEN: Partial<LogTimes> = { originMs: 30, peersMs: 30, peersAwayMs: 30 };

type Health = {
  readonly checkpoint: { readonly size: number; readonly ageSeconds: number | null; readonly fresh: boolean } | null;
  readonly heldBack: string | null;
  readonly cosigner: string;
  readonly witness: string;
};

const checkpointOf = async (url: string) => (await fetch(`${url}/-/federation/checkpoint`)).text();
const healthOf = async ({ url }: { url: string }) => (await (await fetch(`${url}/-/healthz`)).json()) as Health;
const sizeOf = (note: string) => Number(note.split('\n')[1]);
const isCosigned = (note: string, vkeys: readonly string[]) => openCosignatures(note, vkeys).length === vkeys.length;

async function learn(origin: WholeOrigin, name: string): Promise<void> {
  origin.put(name);
  assert.equal((await origin.ask(`/${name}`)).status, 200);
}

describe('cosignatures', () => {
  it('of the hosts that hold a checkpoint stand beneath it at the origin, and each host’s own beneath its own', async (t) => {
    const origin = await startWholeOrigin(t);
    const mirrors = [await startHost(t, origin, {}, QUICK), await startHost(t, origin, {}, QUICK)];
    await learn(origin, 'alpha');
    const vkeys = mirrors.map(({ cosigner }) => cosigner);
    const note = await until('both have cosigned', async () => {
      const shown = await checkpointOf(origin.door);
      return isCosigned(shown, vkeys) ? shown : null;
    });
    const keys = openKeysNote(await (await fetch(`${origin.door}/-/federation/keys`)).text(), null);
    assert.deepEqual(openNote(note, [keys.log]).signedBy, [keys.log]);
    assert.ok(isCosigned(note, [keys.cosigner ?? '']));
    for (const { url, cosigner } of mirrors) {
      const own = await checkpointOf(url);
      assert.equal(splitNote(own).text, splitNote(note).text);
      assert.ok(isCosigned(own, [cosigner]));
    }
  });

  it('are passed on by mirrors that ask the origin again', async (t) => {
    const origin = await startWholeOrigin(t);
    const first = await startHost(t, origin, {}, QUICK);
    const second = await startHost(t, origin, {}, { ...QUICK, logTimes: OFTEN });
    const keys = openKeysNote(await (await fetch(`${origin.door}/-/federation/keys`)).text(), null);
    const all = [keys.cosigner ?? '', first.cosigner, second.cosigner];
    await until('all are there', async () => isCosigned(await checkpointOf(second.url), all));
  });

  it('are made by three keys that have nothing in common', async (t) => {
    const origin = await startWholeOrigin(t);
    const mirror = await startHost(t, origin);
    const health = await healthOf(mirror);
    const names = [health.cosigner, health.witness].map((vkey) => vkey.split('+')[0]);
    assert.deepEqual(names, [`mirror/${mirror.hostId}`, `witness/${mirror.hostId}`]);
    const publicKeys = [health.cosigner, health.witness, mirror.hostId].map((vkey) => vkey.split('+').at(-1));
    assert.equal(new Set(publicKeys).size, 3);
  });

  it('are renewed while the checkpoint still is the newest, and not when nobody says so', async (t) => {
    const origin = await startWholeOrigin(t);
    const renewing = { cosigningTimes: { renewMs: 5, paceMs: 0 } };
    const mirror = await startHost(t, origin, {}, { logTimes: OFTEN, ...renewing });
    const timeIn = async () => openCosignatures(await checkpointOf(mirror.url), [mirror.cosigner])[0]?.time ?? 0;
    const first = await until('it is cosigned', timeIn);
    origin.pass(60_000);
    await until('it is cosigned anew', async () => (await timeIn()) >= first + 60);
    await origin.close();
    await mirror.log.until(({ state }) => state === 'away');
    await until('the origin is known to be away', async () => !(await isReached(mirror)));
    // One may still be on its way from before.
    const isStill = async () => {
      const last = await timeIn();
      origin.pass(60_000);
      for (let look = 0; look < 100; look++) if ((await timeIn()) > last + 1) return false;
      return true;
    };
    await until('it is not renewed any more', isStill);
  });
});

describe('every mirror', () => {
  it('is a witness of its origin’s log, and of no other', async (t) => {
    const origin = await startWholeOrigin(t);
    const own = await startTestMirror(t, origin.door, { door: 'http://door.example' });
    for (const mirror of [await startHost(t, origin), own]) {
      const prefix = `${mirror.url}/-/federation/witness`;
      const add = (note: string) =>
        fetch(`${prefix}/add-checkpoint`, {
          method: 'POST',
          body: formatAddCheckpoint({ oldSize: 0, proof: [], note }),
        });
      const note = await checkpointOf(origin.door);
      assert.equal((await add(await new SignedLog().growTo(3).note())).status, 404);
      const answer = await add(note);
      assert.equal(answer.status, 200);
      assert.ok(isCosigned(addSignatureLines(note, [await answer.text()]), [mirror.witness]));
      const log = sha256Hex(utf8(note.split('\n')[0] ?? ''));
      assert.ok(isCosigned(await (await fetch(`${prefix}/${log}/checkpoint`)).text(), [mirror.witness]));
    }
  });
});

async function isReached({ url }: TestMirror): Promise<boolean> {
  const { log } = (await (await fetch(`${url}/-/healthz`)).json()) as { log: { sources: Record<string, string> } };
  return log.sources.origin === 'current';
}

/** An origin whose policy names three witnesses, of which it takes two, and the file for a mirror that requires them. */
async function witnessedOrigin(t: TestContext) {
  const data = tempFolder();
  await (await openDataDir(data, 'origin')).close();
  const keys = await openOriginKeys(data);
  const log = { name: keys.logName, vkeys: [keys.log.vkey] };
  const names = ['one', 'two', 'three'];
  const witnesses: TestWitness[] = [];
  for (const name of names) witnesses.push(await startWitness(t, log, { name: `witness/${name}` }));
  const lines = witnesses.map(({ vkey, url }, at) => `witness ${names[at]} ${vkey} ${url}\n`).join('');
  const policy = join(tempFolder(), 'policy');
  await writeFile(
    policy,
    `# two of three\nlog ${keys.log.vkey}\n${lines}group most 2 ${names.join(' ')}\nquorum most\n`,
  );
  const cosigningTimes = { witness: WITNESS, behindMs: 100 };
  const origin = await startWholeOrigin(t, { config: { data, policy }, deps: { cosigningTimes } });
  const restart = async (at: number) => {
    const { dir, url } = witnesses[at] as TestWitness;
    witnesses[at] = await startWitness(t, log, { dir, name: `witness/${names[at]}`, port: Number(new URL(url).port) });
  };
  const stop = (...at: number[]) => Promise.all(at.map((one) => witnesses[one]?.close()));
  return { origin, policy, witnesses, restart, stop, log };
}

describe('a mirror with a policy', () => {
  it('moves on with two of three witnesses, is held back with one, and catches up when there are two again', async (t) => {
    const { origin, policy, witnesses, restart, stop } = await witnessedOrigin(t);
    await stop(2);
    await learn(origin, 'alpha');
    const mirror = await startHost(t, origin, { policy }, { ...QUICK, logTimes: OFTEN });
    const size = await until(
      'it follows',
      async () => (await mirror.follower.size()) === (await sizeAt(origin)) && (await sizeAt(origin)),
    );
    assert.ok(isCosigned(await checkpointOf(mirror.url), [witnesses[0]?.vkey ?? '', witnesses[1]?.vkey ?? '']));
    assert.equal((await healthOf(mirror)).heldBack, null);

    await stop(1);
    await learn(origin, 'beta');
    const why = await until('it is held back', async () => (await healthOf(mirror)).heldBack);
    assert.match(why, /quorum most is not reached: \d of 3 witnesses have cosigned, not .*two, three/);
    assert.equal(sizeOf(await checkpointOf(mirror.url)), size, 'the one before is served');

    await until('it is out of the rotation', () => listed(origin, mirror)?.behind);
    assert.equal(listed(origin, mirror)?.reason, 'does not follow the log');
    await origin.ask('/alpha/-/alpha-1.0.0.tgz');
    const route = await origin.ask('/-/federation/route/alpha/-/alpha-1.0.0.tgz', { headers: pnpm });
    const { excluded } = route.json<{ excluded: { id: string; reason: string }[] }>();
    assert.deepEqual(
      excluded.map(({ id, reason }) => [id, reason]),
      [[mirror.hostId, 'behind']],
    );
    await restart(1);
    await until('it follows again', async () => (await sizeAt(origin)) === mirror.follower.size());
    await until('it is in the rotation again', () => listed(origin, mirror)?.behind === false);
  });

  it('moves on while the log never stands still', async (t) => {
    const { origin, policy } = await witnessedOrigin(t);
    const mirror = await startHost(t, origin, { policy }, { ...QUICK, logTimes: OFTEN });
    const sizes = new Set<number>();
    let number = 0;
    await until(
      'it has moved several times',
      async () => {
        await learn(origin, `package-${number++}`);
        sizes.add(mirror.follower.size());
        return sizes.size > 3;
      },
      30_000,
    );
  });

  it('does not start with a file that is wrong, or about another log', async (t) => {
    const { origin, log } = await witnessedOrigin(t);
    const policy = join(tempFolder(), 'policy');
    const start = () => startTestMirror(t, origin.door, { policy });
    await assert.rejects(start(), { name: 'UsageError', message: /can't read the policy file .*policy/ });
    await writeFile(policy, `log ${log.vkeys[0]}\nwitness one nonsense\nquorum none\n`);
    await assert.rejects(start(), (error) => error instanceof UsageError && /policy, line 2: /.test(error.message));
    const other = (await openOriginKeys(tempFolder())).log.vkey;
    await writeFile(policy, `log ${other}\nquorum none\n`);
    await assert.rejects(start(), { name: 'UsageError', message: /the policy has no line "log / });
  });
});

const sizeAt = async (origin: WholeOrigin) => sizeOf(await checkpointOf(origin.door));
const listed = (origin: WholeOrigin, { hostId }: TestMirror) => origin.hosts.list().find(({ id }) => id === hostId);

describe('an origin with a policy', () => {
  it('does not start with one about another log', async (t) => {
    const policy = join(tempFolder(), 'policy');
    await writeFile(policy, `log ${(await openOriginKeys(tempFolder())).log.vkey}\nquorum none\n`);
    await assert.rejects(startWholeOrigin(t, { config: { policy } }), UsageError);
  });
});

describe('a log that is frozen', () => {
  it('is shown to be old, and is served on', async (t) => {
    const signed = new SignedLog().growTo(20);
    const server = await serveLog(t, signed);
    const clock = { ms: signed.time };
    const mirror = await startTestMirror(t, server.url, { door: 'http://door.example' }, { now: () => clock.ms });
    await until('it follows', () => mirror.follower.size() === 20);
    const fresh = await until('its age is known', async () => {
      const { checkpoint } = await healthOf(mirror);
      return checkpoint?.ageSeconds === null ? null : checkpoint;
    });
    assert.ok(fresh.fresh && fresh.size === 20 && (fresh.ageSeconds ?? 99) <= 1);
    clock.ms += 3_602_000;
    const old = (await healthOf(mirror)).checkpoint;
    assert.deepEqual([old?.fresh, old?.ageSeconds], [false, 3_603]);
    assert.equal(sizeOf(await checkpointOf(mirror.url)), 20);
  });

  it('is not taken for a quiet one, whose origin cosigns anew', async (t) => {
    const origin = await startWholeOrigin(t, { deps: { cosigningTimes: { renewMs: 5 } } });
    const mirror = await startHost(t, origin, {}, { logTimes: OFTEN });
    await until('it follows', () => mirror.follower.size() > 0);
    origin.pass(7_200_000);
    await until('it is fresh', async () => {
      const age = (await healthOf(mirror)).checkpoint;
      return age?.fresh && (age.ageSeconds ?? 99) < 60;
    });
  });
});
