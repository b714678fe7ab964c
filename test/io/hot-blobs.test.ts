import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HotBlobs } from '../../src/io/hot-blobs.ts';

test('hot blobs keep those used last, within their bytes', () => {
  const hot = new HotBlobs(10);
  for (const key of ['a', 'b', 'c']) hot.set(key, new Uint8Array(3));
  hot.get('a');
  hot.set('d', new Uint8Array(3));
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].filter((key) => hot.has(key)),
    ['a', 'c', 'd'],
  );
  hot.set('too large', new Uint8Array(11));
  assert.equal(hot.has('too large'), false);
  assert.equal(hot.has('a'), true);
});

test('hot blobs never hold more bytes than they may, and drop nothing while there is room', () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), length: fc.nat(12), drop: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const hot = new HotBlobs(20);
      let all = new Map<string, number>();
      for (const { key, length, drop } of steps) {
        if (drop) hot.delete(key);
        else hot.set(key, new Uint8Array(length));
        all.delete(key);
        if (!drop) all.set(key, length);
        const held = ['a', 'b', 'c', 'd', 'e'].filter((one) => hot.has(one));
        const bytes = held.reduce((sum, one) => sum + (all.get(one) ?? Number.NaN), 0);
        assert.ok(bytes <= 20, `${bytes} bytes are held`);
        const wanted = [...all.values()].reduce((sum, one) => sum + one, 0);
        if (wanted <= 20) assert.equal(held.length, all.size);
        all = new Map([...all].filter(([one]) => hot.has(one)));
      }
    }),
  );
});
