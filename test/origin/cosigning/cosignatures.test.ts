import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openCosignatures as openLines } from '../../../src/core/cosignature.ts';
import { ForbiddenError, MalformedError, SignatureError, UnauthorizedError } from '../../../src/core/errors.ts';
import { mirrorKeyName } from '../../../src/core/host-keys.ts';
import { COSIGNATURES_SERVED_MAX } from '../../../src/core/limits.ts';
import { openNote, signNote, splitNote } from '../../../src/core/note.ts';
import { openCosignerKey } from '../../../src/io/key-file.ts';
import { createMetrics } from '../../../src/io/metrics.ts';
import { type CosignaturesDeps, openCosignatures } from '../../../src/origin/cosigning/cosignatures.ts';
import { type CosignerKey, makeCosignerKey } from '../../support/cosigners.ts';
import { LogLines } from '../../support/log-lines.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { LOG_KEY, LOG_NAME, LOG_VKEY, numbered, openTestLog } from '../../support/test-log.ts';
import { until } from '../../support/until.ts';

const NOW = 1_750_000_000_000;
const idOf = (number: number): string => number.toString(16).padStart(16, '0');

async function setUp(t: Pick<TestContext, 'after'>, options: Partial<CosignaturesDeps> = {}) {
  const store = new MemoryMetadataStore();
  const log = await openTestLog(store);
  const seen: string[] = [];
  const cosigner = await openCosignerKey(tempFolder(), 'cosigner.key', `${LOG_NAME}/cosigner`);
  const clock = { ms: NOW };
  const open = () =>
    openCosignatures({
      ...{
        log,
        store,
        cosigner,
        policy: null,
        logger: new LogLines('origin').logger,
        metrics: createMetrics('origin'),
      },
      guard: { seen: async (note) => void seen.push(String(note)) },
      logKeys: { name: LOG_NAME, vkeys: [LOG_VKEY] },
      now: () => clock.ms,
      ...options,
    });
  const cosignatures = await open();
  await cosignatures.start();
  t.after(() => cosignatures.close());
  const note = () => cosignatures.note() ?? '';
  const bare = () => log.checkpoint()?.note ?? '';
  /** What a host shows: the newest checkpoint, cosigned. */
  const shownBy = async (key: CosignerKey, time = NOW / 1000) => ({
    cosigner: key.vkey,
    checkpoint: await key.cosigned(bare(), time),
  });
  const host = (number: number) => makeCosignerKey(mirrorKeyName(idOf(number)));
  return { log, store, cosigner, clock, cosignatures, open, seen, note, bare, shownBy, host };
}

const timeBy = (note: string, { vkey }: { vkey: string }): number | undefined => openLines(note, [vkey])[0]?.time;

test('a checkpoint is served with the signature of the log and the cosignature of the origin', async (t) => {
  const { note, cosigner } = await setUp(t);
  assert.deepEqual(openNote(note(), [LOG_VKEY]).signedBy, [LOG_VKEY]);
  assert.equal(timeBy(note(), cosigner), NOW / 1000);
});

test('the origin cosigns anew while nothing happens, and at once what is new', async (t) => {
  const { note, cosigner, clock, log } = await setUp(t, { renewMs: 3 });
  clock.ms += 60_000;
  await until('it is cosigned anew', () => timeBy(note(), cosigner) === NOW / 1000 + 60);
  await log.append([numbered(1)]);
  await until('the next one is cosigned', () => timeBy(note(), cosigner) === NOW / 1000 + 60);
  assert.equal(splitNote(note()).text, splitNote(log.checkpoint()?.note ?? '').text);
});

test('what hosts cosigned is served with the checkpoint that it is of, and with no other', async (t) => {
  const { note, cosignatures, shownBy, host, log } = await setUp(t);
  const [first, second] = [host(1), host(2)];
  assert.equal(cosignatures.heldBy(idOf(1)), null);
  await cosignatures.take(idOf(1), await shownBy(first));
  await cosignatures.take(idOf(2), await shownBy(second, NOW / 1000 + 3));
  assert.deepEqual([timeBy(note(), first), timeBy(note(), second)], [NOW / 1000, NOW / 1000 + 3]);
  const size = log.size();
  await log.append([numbered(1)]);
  assert.equal(timeBy(note(), first), undefined);
  assert.equal(cosignatures.heldBy(idOf(1)), size);
  await cosignatures.take(idOf(1), await shownBy(first));
  assert.equal(timeBy(note(), first), NOW / 1000);
});

test('a cosigner key belongs to the host that came with it, for good', async (t) => {
  const { cosignatures, shownBy, host, open } = await setUp(t);
  await cosignatures.take(idOf(1), await shownBy(host(1)));
  const other = await shownBy(host(1));
  await assert.rejects(cosignatures.take(idOf(1), other), UnauthorizedError);
  await assert.rejects((await open()).take(idOf(1), other), UnauthorizedError);
  await assert.rejects(cosignatures.take(idOf(3), await shownBy(host(2))), MalformedError);
});

test('a key that has not cosigned anything yet belongs to nobody', async (t) => {
  const { cosignatures, shownBy, host, bare } = await setUp(t);
  await assert.rejects(cosignatures.take(idOf(1), { cosigner: host(1).vkey, checkpoint: bare() }), SignatureError);
  await cosignatures.take(idOf(1), await shownBy(host(1)));
});

test('what the log did not sign, or did not publish, is not taken in', async (t) => {
  const { cosignatures, host, bare, seen, note } = await setUp(t);
  const key = host(1);
  const text = splitNote(bare()).text;
  const take = async (checkpoint: string, time = NOW / 1000) =>
    cosignatures.take(idOf(1), { cosigner: key.vkey, checkpoint: await key.cosigned(checkpoint, time) });
  const strangers = await signNote(text, [{ ...LOG_KEY, name: `${LOG_NAME}/other` }]);
  await assert.rejects(take(strangers), SignatureError);
  const [, size = '', root = ''] = text.split('\n');
  for (const forged of [`${LOG_NAME}\n${Number(size) + 1}\n${root}\n`, `${LOG_NAME}\n${size}\n${'A'.repeat(43)}=\n`]) {
    const signed = await signNote(forged, [LOG_KEY]);
    await assert.rejects(take(signed), ForbiddenError);
    assert.equal(seen.at(-1), signed, 'it is judged as evidence');
  }
  await assert.rejects(take(bare(), NOW / 1000 + 301), ForbiddenError);
  assert.equal(timeBy(note(), key), undefined);
  await take(bare(), NOW / 1000 + 299);
});

test('the hosts that came first are served first, the same ones after a restart', async (t) => {
  const { cosignatures, shownBy, host, note, open, clock } = await setUp(t);
  const hosts = Array.from({ length: COSIGNATURES_SERVED_MAX + 6 }, (_, at) => ({
    id: idOf(100 - at),
    key: host(100 - at),
  }));
  const tell = async (to: typeof cosignatures, of: typeof hosts) => {
    for (const { id, key } of of) {
      clock.ms += 1;
      await to.take(id, await shownBy(key));
    }
  };
  await tell(cosignatures, hosts);
  const namesIn = (served: string) => splitNote(served).signatures.map(({ name }) => name);
  const expected = hosts.map(({ id }) => mirrorKeyName(id));
  const [, own, ...served] = namesIn(note());
  assert.equal(own, `${LOG_NAME}/cosigner`);
  assert.deepEqual(served, expected.slice(0, COSIGNATURES_SERVED_MAX - 1));
  const reopened = await open();
  await tell(reopened, [...hosts].reverse());
  assert.deepEqual(namesIn(reopened.note() ?? '').slice(1), expected.slice(0, COSIGNATURES_SERVED_MAX));
});
