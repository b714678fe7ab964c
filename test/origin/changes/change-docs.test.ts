import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { MissingBlobError } from '../../../src/io/stored-blob.ts';
import { createChangeDocs } from '../../../src/origin/changes/change-docs.ts';

const HASH = 'ab'.repeat(32);
const change = { seq: 3, id: '@s/p', rev: '1-old', deleted: false };

type Parts = Parameters<typeof createChangeDocs>[0];

function docsOf(head: object | null, form: () => Promise<AsyncIterable<Uint8Array>>) {
  const view = { name: '@s/p', head, headHash: head && HASH };
  return createChangeDocs({ index: { get: async () => view }, forms: { plain: form } } as unknown as Parts);
}

test('a packument of many lines becomes one line, with the revision that it has now', async () => {
  const form = '{\r\n  "name": "@s/p",\n  "readme": "two\\nlines"\n}\n';
  const docs = docsOf({ seq: 2 }, async () => Readable.from([Buffer.from(form)]));
  const line = Buffer.from(await docs.line(change, 'http://door.example')).toString();
  assert.doesNotMatch(line, /[\r\n]/);
  const doc = { _id: '@s/p', _rev: `2-${'ab'.repeat(16)}`, name: '@s/p', readme: 'two\nlines' };
  assert.deepEqual(JSON.parse(line), { seq: 3, id: '@s/p', changes: [{ rev: '1-old' }], doc });
});

test('a package without a packument has no document', async () => {
  const none = docsOf(null, () => assert.fail('there is no form'));
  const lost = docsOf({ seq: 2 }, async () => {
    throw new MissingBlobError('a page is missing from the store');
  });
  for (const docs of [none, lost]) {
    const line = Buffer.from(await docs.line(change, 'http://door.example')).toString();
    assert.equal(JSON.parse(line).doc, null);
  }
});

test('a fault of ours is not told as a missing document', async () => {
  const broken = docsOf({ seq: 2 }, async () => {
    throw new Error('broken');
  });
  await assert.rejects(broken.line(change, 'http://door.example'), /broken/);
});
