import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { createForms, FORM_CODINGS, formSize } from '../../src/door/forms.ts';
import { madePackage } from '../support/made-package.ts';
import { MemoryBlobStore } from '../support/memory-blob-store.ts';
import { startOriginCore } from '../support/origin-core.ts';
import { tempFolder } from '../support/temp-folder.ts';

const BASE = 'https://registry.example';
const DECODERS = { zstd: zstdDecompressSync, br: brotliDecompressSync, gzip: gunzipSync };
const fail = (error: unknown) => assert.fail(String(error));

async function someHead(t: Parameters<typeof startOriginCore>[0]) {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  const { head } = (await origin.learner.packument('alpha', '127.0.0.0/24')).view;
  assert.ok(head);
  return { head, blobs: origin.blobs };
}

test('every coding of a form decodes to the same bytes, of the size that is announced', async (t) => {
  const { head, blobs } = await someHead(t);
  const forms = createForms({ folder: tempFolder(), blobs, note: fail });
  for (const kind of ['full', 'abbreviated'] as const) {
    const plain = await buffer(await forms.plain(kind, head, BASE));
    assert.equal(plain.length, formSize(kind, head, BASE));
    for (const coding of FORM_CODINGS) {
      const bytes = await forms.compressed(kind, head, BASE, coding);
      assert.deepEqual(DECODERS[coding](bytes), plain, `${kind} ${coding}`);
    }
  }
  await forms.idle();
});

test('a form is read back from disk, and made again where the file was damaged', async (t) => {
  const { head, blobs } = await someHead(t);
  const folder = tempFolder();
  const first = createForms({ folder, blobs, note: fail });
  const made = await first.compressed('full', head, BASE, 'gzip');
  await first.idle();

  const [path = ''] = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const empty = new MemoryBlobStore();
  const reading = createForms({ folder, blobs: empty, note: fail });
  assert.deepEqual(await reading.compressed('full', head, BASE, 'gzip'), made);

  const file = await readFile(path);
  file[file.length - 1] = (file.at(-1) as number) ^ 1;
  await writeFile(path, file);
  const mending = createForms({ folder, blobs, note: fail });
  assert.deepEqual(gunzipSync(await mending.compressed('full', head, BASE, 'gzip')), gunzipSync(made));
  await mending.idle();
});

test('many clients at once make a form once', async (t) => {
  const { head, blobs } = await someHead(t);
  let reads = 0;
  const counting = Object.assign(Object.create(null), {
    read: (id: Parameters<typeof blobs.read>[0]) => ++reads && blobs.read(id),
  });
  const forms = createForms({ folder: tempFolder(), blobs: counting, note: fail });
  await forms.compressed('full', head, BASE, 'gzip');
  const once = reads;
  reads = 0;
  await Promise.all(Array.from({ length: 20 }, () => forms.compressed('full', head, 'http://other.example', 'gzip')));
  assert.equal(reads, once);
  await forms.idle();
});

test('a form of which a blob is lost fails alone, and is made once the blob is back', async (t) => {
  const { head, blobs } = await someHead(t);
  const id = { algorithm: 'sha256', hex: head.top } as const;
  const top = await blobs.read(id);
  assert.ok(top);
  await blobs.delete(id);
  const forms = createForms({ folder: tempFolder(), blobs, note: fail });
  for (const coding of FORM_CODINGS) {
    await assert.rejects(forms.compressed('full', head, BASE, coding), /is missing from the store/);
  }
  await blobs.putMany([{ id, bytes: top }]);
  assert.ok(await forms.compressed('full', head, BASE, 'gzip'));
  await forms.idle();
});
