import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { utf8 } from '../../../src/core/bytes.ts';
import { sha256Hex } from '../../../src/core/hash.ts';
import { formatHead } from '../../../src/core/head.ts';
import { formatPages } from '../../../src/core/pages.ts';
import { finish } from '../../../src/core/steps.ts';
import { HEAD_HEADER } from '../../../src/door/answers.ts';
import { ask } from '../../support/ask.ts';
import { learned, SignedLog, serveLog, type TestEntry } from '../../support/signed-log.ts';
import { startTestMirror } from '../../support/test-mirror.ts';

/** What an origin's log names by these bytes' hashes, and the origin gives out, is at the door of a mirror. */
async function startDoor(t: TestContext, head: Uint8Array, content: readonly Uint8Array[], ...entries: TestEntry[]) {
  const server = await serveLog(t, new SignedLog().add(...entries));
  const byHash = new Map([head, ...content].map((bytes) => [sha256Hex(bytes), bytes]));
  server.other = ({ url = '' }) => {
    const found = byHash.get(url.slice(url.lastIndexOf('/') + 1));
    if (found) return { status: 200, headers: {}, body: found };
    return { status: 200, headers: { [HEAD_HEADER]: sha256Hex(head) }, body: new Uint8Array(0) };
  };
  const mirror = await startTestMirror(t, server.url, { door: 'http://packages.example' });
  return (path: string) => ask(mirror.url, { target: path, headers: { host: 'packages.example' } });
}

const junk = utf8('head/1\nname beta');

function headWithTags(tags: Uint8Array): Uint8Array {
  const { count, root, pages } = finish(formatPages([]));
  const form = { size: 2, sha256: sha256Hex(utf8('{}')) };
  return formatHead({
    ...{ name: 'alpha', seq: 1, assembly: 'assembly/1', tags: sha256Hex(tags), top: sha256Hex(utf8('{}')) },
    ...{ versions: { count, root }, pages: pages.map(sha256Hex), full: form, abbreviated: form },
  });
}

test('a head that can’t be read is the origin’s fault, whatever is asked of the package', async (t) => {
  const atDoor = await startDoor(t, junk, [], learned('alpha', sha256Hex(junk)));
  for (const path of ['/alpha', '/alpha/latest', '/-/package/alpha/dist-tags', '/alpha/-/alpha-1.0.0.tgz']) {
    const { status, error } = await atDoor(path);
    assert.equal(status, 502, path);
    assert.match(error, /^alpha at the origin: malformed head\/1/, path);
  }
});

test('so is a version entry that can’t be read', async (t) => {
  const entry = sha256Hex(junk);
  const atDoor = await startDoor(t, junk, [], { kind: 'learned-version', name: 'alpha', version: '1.0.0', entry });
  const { status, error } = await atDoor('/alpha/-/alpha-1.0.0.tgz');
  assert.equal(status, 502);
  assert.match(error, /^alpha at the origin: malformed version entry/);
});

test('so are dist-tags that are none', async (t) => {
  for (const text of ['{"latest":', 'null']) {
    const tags = utf8(text);
    const head = headWithTags(tags);
    const atDoor = await startDoor(t, head, [tags, utf8('{}')], learned('alpha', sha256Hex(head)));
    const { status, error } = await atDoor('/-/package/alpha/dist-tags');
    assert.equal(status, 502, text);
    assert.match(error, /^alpha at the origin: malformed dist-tags/);
  }
});
