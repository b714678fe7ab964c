import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { openCosigned } from '../../src/core/cosigned.ts';
import { UsageError } from '../../src/core/errors.ts';
import { checkPolicyLog, lacking } from '../../src/core/policy-check.ts';
import { parsePolicy } from '../../src/core/tlog-policy.ts';
import { Witnessed } from '../../src/core/witnessed.ts';
import { makeCosignerKey } from '../support/cosigners.ts';
import { makeLogKeys, SignedLog, vkeyOf } from '../support/signed-log.ts';

const keys = makeLogKeys();
const log = new SignedLog(keys).growTo(40);
const [a, b, c, stranger] = ['a', 'b', 'c', 'stranger'].map((name) => makeCosignerKey(`witness/${name}`));
const witnesses = [a, b, c].map((key, at) => `witness ${'abc'[at]} ${key?.vkey}\n`).join('');
const policy = parsePolicy(`log ${vkeyOf(keys.log)}\n${witnesses}group two 2 a b c\nquorum two\n`);

type Key = NonNullable<typeof a>;

async function cosignedBy(size: number, ...cosigners: (Key | undefined)[]): Promise<string> {
  let note = await log.note(size);
  for (const one of cosigners) note = await (one as Key).cosigned(note, 1_000);
  return note;
}

describe('what a checkpoint lacks', () => {
  it('is nothing with two of three witnesses', async () => {
    for (const two of [
      [a, b],
      [a, c],
      [b, c],
      [a, b, c],
    ]) {
      assert.equal(lacking(policy, await cosignedBy(20, ...two)), null);
    }
  });

  it('is told by name', async () => {
    assert.equal(
      lacking(policy, await cosignedBy(20, b, stranger)),
      'the quorum two is not reached: 1 of 3 witnesses have cosigned, not a, c',
    );
  });

  it('may be the signature of the log, or a good one of a witness', async () => {
    const foreign = await new SignedLog(makeLogKeys()).growTo(20).note();
    assert.match(lacking(policy, foreign) ?? '', /none of the expected keys signed the note/);
    const two = await cosignedBy(20, a, b);
    const other = await cosignedBy(30, c);
    const mixed = two + other.slice(other.indexOf('— witness/c'));
    assert.match(lacking(policy, mixed) ?? '', /the cosignature by witness\/c .* is wrong/);
  });

  it('is nothing where nobody has to cosign', async () => {
    const none = parsePolicy(`log ${vkeyOf(keys.log)}\nquorum none\n`);
    assert.equal(lacking(none, await log.note(20)), null);
  });
});

test('a policy is about one log', () => {
  checkPolicyLog(policy, vkeyOf(keys.log));
  assert.throws(() => checkPolicyLog(policy, vkeyOf(makeLogKeys().log)), UsageError);
  assert.throws(() => checkPolicyLog(parsePolicy('quorum none\n'), vkeyOf(keys.log)), /it is about no log/);
});

test('the newest checkpoint that reached the quorum is kept, whatever comes after it', async () => {
  const witnessed = new Witnessed(policy);
  const add = async (size: number, key: Key | undefined) => {
    const bare = await log.note(size);
    const { vkey } = key as Key;
    witnessed.add(vkey, openCosigned(await (key as Key).cosigned(bare, 1_000), vkey), bare);
    return Number(witnessed.note()?.split('\n')[1] ?? 0);
  };
  assert.equal(await add(10, a), 0);
  assert.equal(await add(20, a), 0);
  assert.equal(await add(10, c), 10);
  assert.equal(await add(20, stranger), 10);
  assert.equal(await add(30, b), 10);
  assert.equal(await add(20, b), 20);
  assert.equal(await add(10, b), 20, 'never back');
  assert.equal(lacking(policy, witnessed.note() ?? ''), null);
  for (let size = 21; size < 35; size++) assert.equal(await add(size, a), 20);
  assert.equal(await add(34, b), 34, 'the last ones are remembered');
  assert.equal(await add(40, b), 34);
  assert.equal(await add(40, a), 40);
});
