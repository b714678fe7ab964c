import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { ConflictError, NotFoundError } from '../../src/core/errors.ts';
import { AdminError, type AdminRequest, callAdmin, isAdminReachable, serveAdmin } from '../../src/io/admin-socket.ts';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'admin-'));
});
after(() => rm(root, { recursive: true }));

async function folder(name: string): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir, { recursive: true });
  return dir;
}

const socketOf = async (dir: string): Promise<string> =>
  JSON.parse(await readFile(join(dir, 'admin.json'), 'utf8')).socket;

test('commands reach the server with path and body, and get its JSON', async () => {
  const dir = await folder('one');
  const seen: AdminRequest[] = [];
  const admin = await serveAdmin(dir, async (request) => {
    seen.push(request);
    return { done: true };
  });
  assert.deepEqual(await callAdmin(dir, 'POST', ['hosts', 'a/b', 'approve'], { reason: 'ü' }), { done: true });
  assert.deepEqual(seen, [{ method: 'POST', path: ['hosts', 'a/b', 'approve'], body: { reason: 'ü' } }]);
  assert.equal(await isAdminReachable(dir), true);
  assert.equal((await stat(await socketOf(dir))).mode & 0o777, 0o600);
  await admin.close();
  assert.deepEqual(await readdir(dir), []);
});

test("refusals come back in the server's words, other failures without a stack", async () => {
  const dir = await folder('two');
  const admin = await serveAdmin(dir, async ({ path }) => {
    if (path[0] === 'missing') throw new NotFoundError('there is no host abc');
    throw new TypeError('unexpected');
  });
  await assert.rejects(callAdmin(dir, 'GET', ['missing']), (error) => {
    assert.ok(error instanceof AdminError);
    assert.deepEqual([error.message, error.code, error.status], ['there is no host abc', 'not-found', 404]);
    return true;
  });
  await assert.rejects(callAdmin(dir, 'GET', ['x']), /^AdminError: unexpected$/);
  await admin.close();
});

test('a folder without a running server says so, also after a kill', async () => {
  const dir = await folder('three');
  const silent = (error: unknown): boolean =>
    error instanceof ConflictError && /no server is running/.test(error.message);
  await assert.rejects(callAdmin(dir, 'GET', []), silent);
  await writeFile(join(dir, 'admin.json'), JSON.stringify({ socket: join(dir, 'admin.sock') }));
  await assert.rejects(callAdmin(dir, 'GET', []), silent);
  await writeFile(join(dir, 'admin.sock'), 'left behind');
  assert.equal(await isAdminReachable(dir), false);
  const admin = await serveAdmin(dir, async () => 'here');
  assert.equal(await callAdmin(dir, 'GET', []), 'here');
  await admin.close();
});

test('where the path is too long for a socket, it lies in the temporary folder and is removed again', async () => {
  const dir = await folder(`four/${'long'.repeat(30)}`);
  const admin = await serveAdmin(dir, async () => 'here');
  const socket = await socketOf(dir);
  assert.ok(!socket.startsWith(dir));
  assert.equal((await stat(dirname(socket))).mode & 0o777, 0o700);
  assert.equal(await callAdmin(dir, 'GET', []), 'here');
  await admin.close();
  assert.equal(existsSync(dirname(socket)), false);
});
