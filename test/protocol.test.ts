import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { makeDoor } from '../src/core/door.ts';
import { parseHead } from '../src/core/head.ts';
import { callAdmin } from '../src/io/admin-socket.ts';
import { capturedBase } from './support/capture.ts';
import { lifetime } from './support/lifetime.ts';
import { protocolExample } from './support/protocol-examples.ts';
import { assertShown, protocolExchanges, replay } from './support/protocol-exchanges.ts';
import { startTestMirror, type TestMirror } from './support/test-mirror.ts';
import type { Packument } from './support/upstream-packages.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from './support/whole-origin.ts';

// The servers that docs/protocol.md asks, with its own package in the upstream.
const life = lifetime();
const doors = [makeDoor('redirect', 'https://registry.example'), makeDoor('self', 'https://npm.registry.example')];
let origin: WholeOrigin;
let mirror: TestMirror;
let door: TestMirror;

/** The document's package; the bytes of its newer tarball are described under "Measured tarballs". */
function example(): { packument: Packument; tarballs: Record<string, Buffer> } {
  const packument: Packument = JSON.parse(protocolExample('json', 'full').text);
  for (const { dist } of Object.values(packument.versions)) dist.tarball = capturedBase + dist.tarball.slice(1);
  return { packument, tarballs: { '1.1.0': Buffer.from(Uint8Array.from({ length: 150_000 }, (_, i) => i % 251)) } };
}

/** The version that came first, and then both: so the head is the second one, as in the document. */
async function learnTwice(): Promise<void> {
  const { packument, tarballs } = example();
  const { '1.1.0': _, ...versions } = packument.versions;
  origin.upstream.packages.put({ packument: { ...packument, 'dist-tags': { latest: '1.0.0' }, versions }, tarballs });
  assert.equal((await origin.ask('/@example%2fhello')).status, 200);
  origin.upstream.packages.put({ packument, tarballs });
  origin.pass(300_000);
  assert.equal((await origin.ask('/@example%2fhello')).status, 200);
}

before(async () => {
  // A look in between would have the mirror fetch what the document says that it does not hold yet.
  origin = await startWholeOrigin(life, { config: { doors }, times: { probeIntervalMs: 3_600_000 } });
  mirror = await startHost(life, origin);
  door = await startTestMirror(life, origin.door, { door: 'https://packages.example' });
  await learnTwice();
});

describe('the exchanges of docs/protocol.md', () => {
  let leftOut = '';

  for (const exchange of protocolExchanges()) {
    const { server, method, target, answer } = exchange;
    it(`${method} ${target.slice(0, 100)} at the ${server}: ${answer.status}`, async () => {
      if (server === 'admin') {
        const said = await callAdmin(origin.data, method, target.split('/').filter(Boolean));
        return assertShown(JSON.stringify(said), real(answer.body ?? ''), target);
      }
      const url = { origin: origin.door, mirror: mirror.url, door: door.url }[server];
      assert.ok(url, `there is no ${server}`);
      const reply = await replay(exchange, url, real, leftOut);
      leftOut = reply.headers.location?.split('=')[1] ?? leftOut;
    });
  }

  function real(text: string): string {
    return text
      .replaceAll('localhost:4873', `localhost:${origin.port}`)
      .replaceAll('127.0.0.1:4874', `127.0.0.1:${mirror.port}`);
  }
});

describe('entity tags', () => {
  const { abbreviated } = parseHead(new TextEncoder().encode(protocolExample('head').text));
  const tagOf = (parts: string[]): string =>
    createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 32);

  it('are made of form, door and coding', async () => {
    for (const coding of ['zstd', 'br', 'gzip', 'identity']) {
      const headers = {
        host: 'registry.example',
        accept: 'application/vnd.npm.install-v1+json',
        'accept-encoding': coding,
      };
      const { etag } = (await origin.ask('/@example%2fhello', { headers })).headers;
      assert.equal(etag, `"${tagOf([abbreviated.sha256, 'https://registry.example', coding])}"`);
    }
  });
});
