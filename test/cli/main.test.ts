import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { projectRoot } from '../support/folders.ts';
import { startCommand } from '../support/processes.ts';
import { tempFolder } from '../support/temp-folder.ts';

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
    [['orign'], /unknown command 'orign'\s+\(Did you mean origin\?\)/],
    [['distance', '192.0.2.1', '192.0.2.2'], /unknown command 'distance'/],
    [['up', '--frobnicate'], /unknown option '--frobnicate'/],
    [['up', '--port', 'many'], /--port: "many" is not a whole number/],
    [['origin', '--port', '0'], /origin needs --data <DIR>/],
    [['hosts'], /Usage: open-registry hosts/],
    [['hosts', 'approve', 'nobody'], /"nobody" is not a host id/],
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

test('a server runs until SIGTERM and exits with 0; a taken port is told with code 2', async (t) => {
  const settings = ['--mirrors', '0', '--upstream', 'http://127.0.0.1:9'];
  const running = await startCommand(t, ['up', '--port', '0', '--data', join(tempFolder(), 'data'), ...settings]);
  const [url = ''] = await running.ready('origin');
  const { port } = new URL(url);
  const second = await run('up', '--port', port, '--data', join(tempFolder(), 'data'), ...settings);
  assert.equal(second.code, 2);
  assert.match(second.err, new RegExp(`can't listen on localhost, port ${port}: another program uses it already`));
  assert.equal((await fetch(`${url}/-/ping`)).status, 200);
  assert.equal(await running.stop(), 0);
});
