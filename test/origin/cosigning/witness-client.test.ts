import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openCosignatures } from '../../../src/core/cosignature.ts';
import { proveConsistency } from '../../../src/core/merkle.ts';
import type { PolicyWitness } from '../../../src/core/tlog-policy.ts';
import { parsePolicy } from '../../../src/core/tlog-policy.ts';
import { Witnessed } from '../../../src/core/witnessed.ts';
import { createHttpClient } from '../../../src/io/http-client.ts';
import { createMetrics } from '../../../src/io/metrics.ts';
import { storedHashes } from '../../../src/io/stored-tree.ts';
import { createWitnessClient, type WitnessTimes } from '../../../src/origin/cosigning/witness-client.ts';
import { startWitness, type TestWitness } from '../../support/cosigners.ts';
import { LogLines } from '../../support/log-lines.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { LOG_NAME, LOG_VKEY, numbered, openTestLog } from '../../support/test-log.ts';
import { until } from '../../support/until.ts';

const LOG = { name: LOG_NAME, vkeys: [LOG_VKEY] };
const TIMES: WitnessTimes = { paceMs: 2, renewMs: 60_000, pauseMaxMs: 8, timeoutMs: 5_000 };

const asWitness = (name: string, { vkey, url }: Pick<TestWitness, 'vkey' | 'url'>): PolicyWitness => ({
  name,
  vkey,
  url,
});

async function setUp(
  t: Pick<TestContext, 'after'>,
  witnesses: readonly PolicyWitness[],
  times: Partial<WitnessTimes> = {},
) {
  const store = new MemoryMetadataStore();
  const log = await openTestLog(store);
  const lines = new LogLines('origin');
  const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
  let before = async (): Promise<void> => undefined;
  let looked = Promise.withResolvers<void>();
  /** Names of witnesses by the size that they cosigned, in the order in which they did. */
  const cosigned: { vkey: string; size: number; text: string; line: string }[] = [];
  const names = witnesses.map(({ name }) => name);
  const others =
    names.length > 0 ? `group all ${Math.min(2, names.length)} ${names.join(' ')}\nquorum all\n` : 'quorum none\n';
  const keys = witnesses.map(({ name, vkey }) => `witness ${name} ${vkey}\n`).join('');
  const witnessed = new Witnessed(parsePolicy(`log ${LOG_VKEY}\n${keys}${others}`));
  const asking = createWitnessClient({
    client: {
      request: async (url, options) => {
        await before();
        return client.request(url, options);
      },
    },
    log: {
      subscribe: (listener) => log.subscribe(listener),
      checkpoint: () => {
        looked.resolve();
        return log.checkpoint();
      },
    },
    ...{ witnesses, logger: lines.logger, metrics: createMetrics('origin'), random: () => 0.5 },
    prove: (oldSize, size) => proveConsistency(oldSize, size, storedHashes(store, size)),
    cosigned: (vkey, { checkpoint, text, line }, bare) => {
      cosigned.push({ vkey, size: checkpoint.size, text, line });
      witnessed.add(vkey, { checkpoint, text, line }, bare);
    },
    times: { ...TIMES, ...times },
  });
  t.after(async () => {
    await asking.close();
    await client.close();
  });
  const sizesOf = ({ vkey }: { vkey: string }) => cosigned.filter((one) => one.vkey === vkey).map(({ size }) => size);
  /** The next request waits until it is let. */
  const slow = () => {
    const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    before = () => {
      before = async () => undefined;
      asked.resolve();
      return answer.promise;
    };
    return { asked: asked.promise, answer: answer.resolve };
  };
  /** Resolves when the client looks at the log, from now on. */
  const nextLook = (): Promise<void> => {
    looked = Promise.withResolvers<void>();
    return looked.promise;
  };
  return { log, lines, asking, cosigned, sizesOf, witnessed, slow, nextLook };
}

test('each witness is shown the newest checkpoint, with the proof that it needs', async (t) => {
  const [first, second] = [await startWitness(t, LOG), await startWitness(t, LOG, { name: 'witness/second' })];
  const { log, asking, sizesOf } = await setUp(t, [asWitness('first', first), asWitness('second', second)]);
  for (let number = 0; number < 5; number++) await log.append([numbered(number)]);
  asking.start();
  await until('both cosigned', () => [first, second].every((one) => sizesOf(one).includes(log.size())));
  await log.append([numbered(9)]);
  await until('both cosigned what came then', () => [first, second].every((one) => sizesOf(one).includes(log.size())));
  assert.deepEqual(sizesOf(first), [log.size() - 2, log.size()], 'what came and went in between was not shown');
});

test('a witness that has cosigned more than is remembered says so, and gets the proof from there', async (t) => {
  const witness = await startWitness(t, LOG);
  const { log, asking, sizesOf } = await setUp(t, [asWitness('one', witness)]);
  await log.append([numbered(1)]);
  await witness.cosigner.cosign(log.checkpoint()?.note ?? '', null);
  await log.append([numbered(2)]);
  asking.start();
  await until('it cosigned', () => sizesOf(witness).length > 0);
  assert.deepEqual(sizesOf(witness), [log.size()]);
  assert.deepEqual(witness.answered, [409, 200]);
});

test('two of three are enough, and each keeps its own pace', async (t) => {
  const gone = await startWitness(t, LOG, { name: 'witness/gone' });
  await gone.close();
  const [first, second] = [await startWitness(t, LOG), await startWitness(t, LOG, { name: 'witness/second' })];
  const { log, lines, asking, witnessed } = await setUp(t, [
    asWitness('gone', gone),
    asWitness('first', first),
    asWitness('second', second),
  ]);
  asking.start();
  await lines.until(({ witness }) => witness === 'gone');
  for (let number = 0; number < 3; number++) {
    await log.append([numbered(number)]);
    await until('the quorum is reached', () => witnessed.note()?.split('\n')[1] === `${log.size()}`);
  }
  const found = openCosignatures(witnessed.note() ?? '', [first.vkey, second.vkey]);
  assert.equal(found.length, 2);
});

test('a quorum is reached while the log never stands still', async (t) => {
  const [first, second] = [await startWitness(t, LOG), await startWitness(t, LOG, { name: 'witness/second' })];
  const { log, asking, witnessed } = await setUp(t, [asWitness('first', first), asWitness('second', second)]);
  asking.start();
  let number = 0;
  const sizes = new Set<string>();
  await until('several were witnessed', async () => {
    await log.append([numbered(number++)]);
    const size = witnessed.note()?.split('\n')[1];
    if (size !== undefined) sizes.add(size);
    return sizes.size > 3;
  });
});

test('a witness that is slow gets what came meanwhile when it has answered', async (t) => {
  const witness = await startWitness(t, LOG);
  const { log, asking, sizesOf, slow, nextLook } = await setUp(t, [asWitness('one', witness)]);
  const { asked, answer } = slow();
  asking.start();
  await asked;
  const look = nextLook();
  await log.append([numbered(1)]);
  // A round goes by meanwhile, so that what came is news to nobody any more.
  await look;
  assert.deepEqual(sizesOf(witness), []);
  answer();
  await until('it cosigned both', () => sizesOf(witness).length === 2);
  assert.deepEqual(sizesOf(witness).at(-1), log.size());
});

test('a witness that comes back is asked again', async (t) => {
  const first = await startWitness(t, LOG);
  const port = Number(new URL(first.url).port);
  await first.close();
  const { lines, asking, sizesOf } = await setUp(t, [asWitness('one', first)]);
  asking.start();
  await lines.until(({ witness, level }) => witness === 'one' && level === 'warn');
  const back = await startWitness(t, LOG, { dir: first.dir, port });
  await lines.until(({ msg }) => /cosigns again/.test(msg));
  assert.equal(sizesOf(back).length > 0, true);
});

test('what a witness answers is verified', async (t) => {
  const [liar, honest] = [await startWitness(t, LOG), await startWitness(t, LOG)];
  const { lines, asking, cosigned } = await setUp(t, [asWitness('liar', { url: liar.url, vkey: honest.vkey })]);
  asking.start();
  const { reason } = await lines.until(({ witness }) => witness === 'liar');
  assert.match(String(reason), /is not cosigned by/);
  assert.deepEqual(cosigned, []);
});

test('what is still the newest is cosigned anew, and not before it is time', async (t) => {
  const witness = await startWitness(t, LOG);
  const { asking, sizesOf, log } = await setUp(t, [asWitness('one', witness)], { renewMs: 20 });
  asking.start();
  await until('it is cosigned three times', () => sizesOf(witness).length >= 3);
  assert.deepEqual(new Set(sizesOf(witness)), new Set([log.size()]));
});
