import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { madePackage } from '../../support/made-package.ts';
import { startOriginCore } from '../../support/origin-core.ts';

test('more versions than a head can list are the upstream’s fault', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  const versions = Array.from({ length: 262_145 }, (_, at) => `"0.0.${at}":{}`).join();
  const body = gzipSync(`{"name":"alpha","dist-tags":{},"versions":{${versions}}}`);
  origin.server.fault(/^\/alpha$/, () => body);
  await assert.rejects(origin.packument('alpha'), { status: 502, message: /262145 versions/ });
});
