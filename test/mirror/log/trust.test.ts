import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignatureError, UsageError } from '../../../src/core/errors.ts';
import { createHttpClient } from '../../../src/io/http-client.ts';
import { openHeldList } from '../../../src/mirror/membership/held-list.ts';
import { openOriginTrust } from '../../../src/mirror/membership/origin-keys.ts';
import { startHostsOrigin } from '../../support/hosts-origin.ts';
import { newSigner, SignedLog, serveLog, vkeyOf } from '../../support/signed-log.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror } from '../../support/test-mirror.ts';

describe('whom a mirror believes', () => {
  it('trusts nobody at first sight over plain http to another machine', async (t) => {
    const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
    t.after(() => client.close());
    const options = { dir: tempFolder(), client, originKey: null };
    await assert.rejects(openOriginTrust({ ...options, origin: 'http://origin.example' }), UsageError);
    await openOriginTrust({ ...options, origin: 'https://origin.example' });
    await openOriginTrust({ ...options, origin: 'http://127.0.0.1:4873' });
  });

  it('starts for the key that its operator gave, root or log, and for no other', async (t) => {
    const [origin, other] = [await startHostsOrigin(t), await startHostsOrigin(t)];
    for (const originKey of [origin.keys.log.vkey, origin.keys.rootVkey]) {
      await startTestMirror(t, origin.url, { originKey });
    }
    await assert.rejects(startTestMirror(t, origin.url, { originKey: other.keys.log.vkey }), SignatureError);
  });

  it('starts for a log key that took the place of the one that it knew, and for no other of that name', async (t) => {
    const server = await serveLog(t, new SignedLog().growTo(10));
    const { data, close } = await startTestMirror(t, server.url, { originKey: vkeyOf(server.log.keys.log) });
    await close();
    await server.log.rotate();
    const stranger = vkeyOf(newSigner(server.log.keys.log.name));
    await assert.rejects(startTestMirror(t, server.url, { originKey: stranger, data }), SignatureError);
    const mirror = await startTestMirror(t, server.url, { originKey: vkeyOf(server.log.keys.log), data });
    assert.equal(await readFile(join(mirror.data, 'origin-keys.note'), 'utf8'), await server.log.keysNote());
  });

  it('keeps to the origin of its first visit', async (t) => {
    const [origin, other] = [await startHostsOrigin(t), await startHostsOrigin(t)];
    const mirror = await startTestMirror(t, origin.url);
    await mirror.close();
    await assert.rejects(startTestMirror(t, other.url, { data: mirror.data }), SignatureError);
  });

  it('keeps its list of hosts when it is offered an older one', async (t) => {
    const data = tempFolder();
    const origin = await startHostsOrigin(t, { data, doorUrls: ['https://registry.example'] });
    const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
    t.after(() => client.close());
    const dir = tempFolder();
    const trust = await openOriginTrust({ dir, origin: origin.url, originKey: null, client });
    const keys = await trust.refresh();
    const list = await openHeldList({ dir, origin: origin.url, client, keys });
    await list.refresh(keys);
    assert.equal(list.current()?.list.serial, 1);

    // The same origin without its memory: its list starts at serial 1 again, and says something else.
    const restored = await startHostsOrigin(t, { data, doorUrls: ['https://elsewhere.example'] });
    const again = await openHeldList({ dir, origin: restored.url, client, keys });
    await assert.rejects(again.refresh(keys), /sent list of hosts 1 after 1/);
    assert.equal(again.current()?.list.doors[0]?.url, 'https://registry.example');
  });

  it('asks for the list of hosts once at a time, so that no answer overtakes another', async (t) => {
    const origin = await startHostsOrigin(t);
    const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
    t.after(() => client.close());
    let [underWay, most, asked] = [0, 0, 0];
    const request: typeof client.request = async (...question) => {
      asked += 1;
      most = Math.max(most, ++underWay);
      return client.request(...question).finally(() => underWay--);
    };
    const options = { dir: tempFolder(), origin: origin.url, client: { ...client, request } };
    const keys = await (await openOriginTrust({ ...options, originKey: null })).refresh();
    const list = await openHeldList({ ...options, keys });
    asked = 0;
    await Promise.all([list.refresh(keys), list.refresh(keys)]);
    await Promise.all(Array.from({ length: 100 }, () => list.refresh(keys)));
    assert.equal(most, 1);
    assert.ok(asked <= 3, `${asked} requests: an origin may tell of any number of lists`);
  });

  it('does not start on a stored note that was changed', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startTestMirror(t, origin.url);
    await mirror.close();
    const path = join(mirror.data, 'origin-keys.note');
    const note = await readFile(path, 'utf8');
    const [, exchange = ''] = /^exchange (\S+)$/m.exec(note) ?? [];
    await writeFile(path, note.replace(exchange, `${'A'.repeat(43)}=`));
    await assert.rejects(startTestMirror(t, origin.url, { data: mirror.data }), SignatureError);
  });
});
