import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWholeOrigin } from '../support/whole-origin.ts';

for (const [what, path] of [
  ['packument', '/alpha'],
  ['tarball', '/alpha/-/alpha-1.0.0.tgz'],
] as const) {
  test(`an origin that ends does not wait for an upstream that holds back a ${what}`, async (t) => {
    const times = { packumentTimeoutMs: 600_000, tarballIdleMs: 600_000 };
    const origin = await startWholeOrigin(t, { times });
    origin.put('alpha');
    const asked = Promise.withResolvers<Buffer>();
    origin.upstream.fault(new RegExp(`^${path}$`), () => {
      asked.resolve(Buffer.alloc(0));
      return new Promise(() => undefined);
    });
    const leaving = new AbortController();
    const answer = fetch(origin.door + path, { signal: leaving.signal });
    await asked.promise;
    leaving.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    await origin.close();
  });
}
