import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asReason, fileField, nameField, number, orDash, reasonField, serverUrlField } from '../../src/core/fields.ts';
import { codePoint } from '../support/arbitrary.ts';

const accepted = [
  [number, ['0', '7', '10', '9007199254740991']],
  [nameField, ['a', '@s/p', 'Legacy.Name', 'a'.repeat(214)]],
  [fileField, ['p-1.0.0.tgz', "~legacy!'()*-1.0.0+build.tgz", 'x.tar.gz']],
  [
    serverUrlField,
    ['https://mirror.example', 'http://127.0.0.1:4873', 'http://[::1]:4873', 'https://xn--bcher-kva.example'],
  ],
  [reasonField, ['x', 'Überprüfung: 悪意', '😀'.repeat(1_000)]],
] as const;
for (const [field, texts] of accepted) {
  for (const text of texts) {
    test(`${JSON.stringify(text.slice(0, 40))} is ${field.expected}`, () => {
      assert.equal(field.show(field.read(text) as never), text);
    });
  }
}

const refused = [
  [
    number,
    ['', '00', '01', '-0', '-1', '+1', '1.0', '1e3', '0x1', ' 1', '1 ', '٣', '9007199254740992', '99999999999999999'],
  ],
  [nameField, ['', ' ', 'a b', 'a\r', 'é', '\u00a0', 'a'.repeat(215)]],
  [fileField, ['', '.tgz', '../p-1.0.0.tgz', 'a/b.tgz', 'p-1.0.0.zip', 'p 1.tgz', 'é.tgz', `${'a'.repeat(509)}.tgz`]],
  [
    serverUrlField,
    [
      '',
      'mirror.example',
      'https://mirror.example/',
      'https://mirror.example/path',
      'https://mirror.example:443',
      'http://mirror.example:080',
      'HTTPS://mirror.example',
      'https://Mirror.example',
      'https://user@mirror.example',
      'https://mirror.example?',
      'http://127.1',
      'http://[0::1]',
      'ftp://mirror.example',
      'blob:https://mirror.example',
      `https://${'a.'.repeat(200)}example`,
    ],
  ],
  [reasonField, ['', 'a\nb', 'a\u0000', 'a\u0085', 'a\u2028b', 'a\u202eb', '\ud800', '😀'.repeat(1_001)]],
] as const;
for (const [field, texts] of refused) {
  for (const text of texts) {
    test(`${JSON.stringify(text.slice(0, 40))} is not ${field.expected}`, () =>
      assert.equal(field.read(text), undefined));
  }
}

test('a dash is null, and nothing else is', () => {
  const field = orDash(number);
  assert.deepEqual([field.read('-'), field.read('0'), field.read('')], [null, 0, undefined]);
  assert.deepEqual([field.show(null), field.show(0)], ['-', '0']);
});

test('any text becomes a reason, and a reason stays what it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint, maxLength: 1_200, size: 'max' }), (text) => {
      const reason = asReason(text);
      assert.equal(reasonField.read(reason), reason);
      assert.equal(asReason(reason), reason);
    }),
  );
  assert.equal(asReason('  malware\r\n\tsee \u202eadvisory '), 'malware see advisory');
  assert.equal(asReason(`${'a'.repeat(999)} b`), 'a'.repeat(999));
  assert.equal(asReason('\n'), 'no reason given');
  assert.equal(asReason('\ud800'), '\ufffd');
});
