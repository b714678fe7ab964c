import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MalformedError, SignatureError } from '../../src/core/errors.ts';
import { checkLogKey, signLogKey } from '../../src/core/log-key.ts';
import { formatVkey, type Signer } from '../../src/core/note.ts';
import { exampleSigner } from '../support/example-keys.ts';

const vkeyOf = ({ name, publicKey }: Signer) => formatVkey(name, publicKey);
const log = 'log.example';
const [first, second, third] = ['a', 'b', 'c'].map((label) => vkeyOf(exampleSigner(log, label))) as [
  string,
  string,
  string,
];
const root = exampleSigner(`${log}/root`, 'root');

test('a step to another key is good if the root key signed it, and for these keys only', async () => {
  const step = { previous: first, key: second };
  const signature = await signLogKey(step, root);
  checkLogKey({ ...step, signature }, vkeyOf(root));
  for (const other of [
    { previous: first, key: third },
    { previous: third, key: second },
    { previous: second, key: first },
  ]) {
    assert.throws(() => checkLogKey({ ...other, signature }, vkeyOf(root)), SignatureError);
  }
});

test('the signature of any other key is refused, also one that the root key of another log made', async () => {
  const step = { previous: first, key: second };
  const stranger = exampleSigner(`${log}/root`, 'stranger');
  const other = exampleSigner('other.example/root', 'root');
  const forged = await signLogKey(step, stranger);
  assert.throws(() => checkLogKey({ ...step, signature: forged }, vkeyOf(root)), SignatureError);
  assert.throws(() => checkLogKey({ ...step, signature: forged }, vkeyOf(other)), MalformedError);
});
