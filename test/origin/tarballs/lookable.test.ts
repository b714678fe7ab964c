import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetadataStore } from '../../../src/io/metadata-store.ts';
import { lookable } from '../../../src/origin/tarballs/lookable.ts';

const SHA512 = 'ab'.repeat(64);
const MIB = 1024 * 1024;

/** An index in which these states belong to the versions that have the hash. */
function look(size: number | null, ...states: string[]) {
  const rows = states.map((_, at) => ({ key: '', row: { name: 'alpha', version: `1.${at}.0` } }));
  const metadata = {
    scan: async () => rows,
    get: async (_: string, key: string) => ({ state: states[Number(/1\.(\d+)\.0/.exec(key)?.[1])] }),
  };
  return lookable(SHA512, {
    metadata: metadata as unknown as MetadataStore,
    tarballs: { size: async () => size },
  });
}

test('a host is asked for what is held, is not too large, and is still there', async () => {
  assert.deepEqual(await look(4 * MIB, 'listed'), { sha512: SHA512, size: 4 * MIB, name: 'alpha', version: '1.0.0' });
  assert.equal((await look(10, 'withdrawn', 'listed'))?.version, '1.1.0');
  assert.equal(await look(4 * MIB + 1, 'listed'), null);
  assert.equal(await look(null, 'listed'), null);
  assert.equal(await look(10, 'withdrawn'), null);
  assert.equal(await look(10), null);
});
