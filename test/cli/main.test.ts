import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { projectRoot } from '../support/folders.ts';

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, [join(projectRoot, 'src/cli/main.ts'), ...args], { env });
  const closed = new Promise<number>((resolve) => child.on('close', resolve));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await closed, out, err };
}

test('what the command line does not know is refused with code 2 and a clear message', async () => {
  const cases: [string[], RegExp][] = [
    [[], /Usage: open-registry/],
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['distance', '192.0.2.1', '192.0.2.2'], /unknown command 'distance'/],
    [['orign'], /Did you mean origin\?/],
    [['up', '--frobnicate'], /unknown option '--frobnicate'/],
    [['up', '--port'], /argument missing/],
    [['up', '--port', 'many'], /--port: "many" is not a whole number/],
    [['origin', '--port', '0'], /origin needs --data <DIR>/],
    [['hosts'], /Usage: open-registry hosts/],
    [['hosts', 'approve', 'nobody'], /"nobody" is not a host id/],
    [['verify'], /missing required argument/],
  ];
  const results = await Promise.all(cases.map(([args]) => run(...args)));
  for (const [at, { code, out, err }] of results.entries()) {
    const [args, message] = cases[at] ?? [[], /./];
    assert.match(err, message, args.join(' '));
    assert.equal(code, 2, args.join(' '));
    assert.equal(out, '');
  }
});

test('help and version are answers, not errors', async () => {
  const [help, version] = await Promise.all([run('mirror', '--help'), run('--version')]);
  assert.equal(help.code, 0);
  assert.match(help.out, /--origin-key <VKEY>[\s\S]*OPEN_REGISTRY_ORIGIN_KEY/);
  assert.deepEqual([version.code, /^\d+\.\d+\.\d+\n$/.test(version.out)], [0, true]);
});

test('a folder where no server runs is told, with code 1', async () => {
  const { code, err } = await run('hosts', 'list', '--data', '/no/such/folder');
  assert.equal(code, 1);
  assert.match(err, /no server is running on \/no\/such\/folder/);
});
