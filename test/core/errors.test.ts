import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as errors from '../../src/core/errors.ts';

const { FederationError, IntegrityError, MalformedError, quote, UpstreamError, UpstreamTimeoutError, WithdrawnError } =
  errors;

test('every error has a code of its own', () => {
  const made = [
    new errors.BadRequestError(''),
    new errors.UnauthorizedError(''),
    new errors.ForbiddenError(''),
    new errors.NotFoundError(''),
    new errors.ConflictError(''),
    new errors.TooLargeError(''),
    new errors.TooManyRequestsError(''),
    new WithdrawnError({ subject: '', reason: '' }),
    new UpstreamError({ what: '', reason: '' }),
    new UpstreamTimeoutError({ what: '', reason: '' }),
    new errors.StorageFullError(''),
    new IntegrityError({ expected: '', actual: '', source: '' }),
    new MalformedError('', ''),
    new errors.SignatureError(''),
    new errors.ProofError(''),
    new errors.WrongTileError({ paths: [], reason: '' }),
    new errors.RollbackError({ originLine: '', held: 0, offered: 0 }),
    new errors.SplitViewError({ originLine: '', held: '', offered: '' }),
    new errors.UnwitnessedError({ size: 0, lacking: '' }),
    new errors.UnreadableEntryError({ index: 0, reason: '' }),
    new errors.UnavailableError(''),
    new errors.LogHaltedError(''),
    new errors.UsageError(''),
  ];
  const classes = Object.entries(errors).filter(([name]) => name.endsWith('Error') && name !== 'FederationError');
  assert.deepEqual(made.map((error) => error.name).sort(), classes.map(([name]) => name).sort());
  assert.equal(new Set(made.map((error) => error.code)).size, made.length);
  for (const error of made) {
    assert.ok(error instanceof FederationError && error instanceof Error);
    assert.ok(error.status >= 400 && error.status < 600);
  }
});

test('messages say what was wrong, and facts stay readable', () => {
  const wrong = new IntegrityError({ expected: 'sha1:00', actual: 'sha1:11', source: 'https://mirror.example' });
  assert.equal(wrong.message, 'wrong bytes from https://mirror.example: expected sha1:00, got sha1:11');
  assert.equal(new MalformedError('head/1', 'seq is "0"', { line: 3 }).message, 'malformed head/1, line 3: seq is "0"');
  assert.equal(
    new MalformedError('packument', 'no JSON', { offset: 0 }).message,
    'malformed packument at byte 0: no JSON',
  );
  assert.deepEqual([new MalformedError('a', 'b').line, new MalformedError('a', 'b').offset], [null, null]);
  const timeout = new UpstreamTimeoutError({ what: 'packument of a', reason: 'no answer in 5 s' });
  assert.ok(timeout instanceof UpstreamError);
  assert.equal(`${timeout}`, 'UpstreamTimeoutError: packument of a: no answer in 5 s');
});

test('causes are kept', () => {
  const cause = new Error('disk');
  assert.equal(new MalformedError('a', 'b', { cause }).cause, cause);
  assert.equal(new UpstreamError({ what: 'a', reason: 'b' }, { cause }).cause, cause);
});

test('values from outside are quoted in one short line', () => {
  assert.equal(quote('a\n\u001b[31m"'), '"a\\n\\u001b[31m\\""');
  assert.ok(quote('x'.repeat(1_000_000)).length < 100);
});
