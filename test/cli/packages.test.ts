import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { formatIncidents, formatKeys, formatPackage } from '../../src/cli/packages.ts';
import { projectRoot } from '../support/folders.ts';
import { sriOf } from '../support/made-package.ts';
import { startWholeOrigin } from '../support/whole-origin.ts';

const at = (iso: string) => Date.parse(iso);
const incident = {
  ...{ kind: 'pin-changed', subject: 'a@1.0.0', detail: 'another\u001b[2J hash', first: 0, count: 3 },
  last: at('2026-01-02T03:04:05.678Z'),
};

test('incidents are listed in columns, the latest last, and can not play tricks on a terminal', () => {
  const older = { ...incident, kind: 'unsigned', subject: 'b@1.0.0', last: at('2026-01-01T00:00:00Z'), count: 12 };
  assert.equal(
    formatIncidents([incident, older]),
    [
      'LAST SEEN             TIMES  KIND         SUBJECT  DETAIL',
      '2026-01-01T00:00:00Z  12     unsigned     b@1.0.0  another [2J hash',
      '2026-01-02T03:04:05Z  3      pin-changed  a@1.0.0  another [2J hash',
      '',
    ].join('\n'),
  );
  assert.equal(formatIncidents([]), 'no incidents\n');
});

test('a package is shown with all that is known of it', () => {
  const version = { version: '1.0.0', state: 'listed', pinned: 'sha1:ab', time: '2020-01-01', reason: null } as const;
  const state = {
    ...{ name: 'a', head: 'cd', seq: 2, withdrawn: null, tags: { latest: '1.0.0' }, incidents: [incident] },
    ...{ asked: { checked: at('2026-01-01T00:00:00Z'), absent: false }, versions: [version] },
  };
  assert.equal(
    formatPackage(state),
    [
      'package     a',
      'head        cd, number 2',
      'upstream    asked 2026-01-01T00:00:00Z',
      'tag latest  1.0.0',
      '',
      'VERSION  STATE   PUBLISHED   PIN',
      '1.0.0    listed  2020-01-01  sha1:ab',
      '',
      formatIncidents([incident]),
    ].join('\n'),
  );
  const gone = { ...state, head: null, withdrawn: 'malware', asked: null, tags: {}, versions: [], incidents: [] };
  assert.equal(
    formatPackage(gone),
    'package    a\nhead       none\nupstream   is asked at the next look\nwithdrawn  malware\n',
  );
});

test('keys are listed with their state', () => {
  const key = { keyid: 'SHA256:x', keytype: 't', scheme: 's', key: 'k', expires: null };
  const waiting = { ...key, keyid: 'SHA256:y', expires: 0, by: null };
  assert.equal(
    formatKeys([{ ...key, by: 'admin' }, waiting]),
    [
      'STATE   KEY       EXPIRES               ACCEPTED BY',
      'counts  SHA256:x  never                 admin',
      'waits   SHA256:y  1970-01-01T00:00:00Z',
      '',
    ].join('\n'),
  );
});

async function run(data: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const command = [join(projectRoot, 'src/cli/main.ts'), 'packages', ...args, '--data', data];
  const child = spawn(process.execPath, command, { env: { PATH: process.env.PATH } });
  const closed = new Promise<number>((resolve) => child.on('close', resolve));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await closed, out, err };
}

test('an operator sees a changed pin, pins it anew, and clients get the new tarball only', async (t) => {
  const origin = await startWholeOrigin(t);
  const { upstream, data } = origin;
  const before = origin.put('@scope/alpha')['1.0.0'];
  const tarball = '/@scope/alpha/-/alpha-1.0.0.tgz';
  assert.deepEqual((await origin.ask(tarball)).body, before);
  await origin.ask('/@scope/alpha');
  const other = Buffer.from('another tarball');
  const changed = structuredClone((await upstream.packages.packument('@scope/alpha')) ?? assert.fail());
  Object.assign(changed.versions['1.0.0']?.dist ?? {}, { integrity: sriOf(other), shasum: undefined });
  upstream.packages.put({ packument: changed, tarballs: { '1.0.0': other } });
  origin.pass(300_000);
  await origin.ask('/@scope/alpha');
  assert.match((await run(data, 'incidents')).out, /pin-changed +@scope\/alpha@1\.0\.0/);
  assert.match((await run(data, 'show', '@scope/alpha')).out, /^1\.0\.0 +listed .*\n\nLAST SEEN/m);
  const repinned = await run(data, 'repin', '@scope/alpha@1.0.0', '--reason', 'the author said so');
  assert.deepEqual([repinned.code, repinned.err], [0, '']);
  assert.match(repinned.out, /^@scope\/alpha@1\.0\.0 is pinned anew\nwas +sha512:.*\nis +sha512:.*\n$/);
  assert.deepEqual((await origin.ask(tarball)).body, other);
  assert.equal((await run(data, 'incidents')).out, 'no incidents\n');
  const old = repinned.out.match(/was +sha512:([0-9a-f]+)/)?.[1];
  assert.equal((await origin.ask(`/-/federation/blob/sha512/${old}`)).status, 404);
});

test('the other commands talk to the origin, and say what they can not do', async (t) => {
  const { data } = await startWholeOrigin(t);
  const cases: [string[], number, RegExp][] = [
    [['keys'], 0, /^STATE +KEY +EXPIRES +ACCEPTED BY\ncounts +SHA256:/],
    [['keys', 'accept', 'SHA256:other'], 1, /the upstream shows no key "SHA256:other"/],
    [['withdrawals'], 0, /^what the upstream withdraws is withdrawn here\n$/],
    [['withdrawals', 'resume'], 0, /^withdrawing was not halted\n$/],
    [['show', 'nothing-here'], 1, /nothing is known of nothing-here/],
    [['repin', 'nothing-here@1.0.0', '--reason', 'x'], 1, /nothing-here@1\.0\.0 was never pinned here/],
    [['repin', '@scope/alpha', '--reason', 'x'], 2, /"@scope\/alpha" is not NAME@VERSION/],
    [['repin', 'alpha@1.0.0'], 2, /required option '--reason <TEXT>' not specified/],
  ];
  const results = await Promise.all(cases.map(([args]) => run(data, ...args)));
  for (const [i, { code, out, err }] of results.entries()) {
    const [args, expected, message] = cases[i] ?? [[], 0, /./];
    assert.match(out + err, message, args.join(' '));
    assert.equal(code, expected, args.join(' '));
  }
});

test('an operator is alarmed when too much disappears at once, and ends the halt', async (t) => {
  const origin = await startWholeOrigin(t);
  const names = Array.from({ length: 11 }, (_, i) => `package-${i}`);
  for (const name of names) origin.put(name);
  for (const name of names) await origin.ask(`/${name}`);
  assert.match((await origin.ask('/-/metrics')).body.toString(), /^open_registry_withdrawals_halted\{[^}]*\} 0$/m);
  for (const name of names) origin.upstream.packages.withdraw(name);
  origin.pass(300_000);
  for (const name of names) await origin.ask(`/${name}`);
  const last = await origin.ask('/package-10');
  assert.equal(last.status, 200);
  assert.match(String(last.headers['cache-status']), /stale/);
  const alarm = await origin.log.until(({ kind }) => kind === 'mass-disappearance');
  assert.equal(alarm.level, 'error');
  assert.equal(await origin.metric('withdrawals_halted'), 1);
  assert.equal(await origin.metric('incidents_total', { kind: 'mass-disappearance' }), 1);
  assert.match((await run(origin.data, 'withdrawals')).out, /^halted since \S+: 11 of the 11 packages .* are gone\n$/);
  assert.match((await run(origin.data, 'withdrawals', 'resume')).out, /is withdrawn here again/);
  origin.pass(300_000);
  assert.equal((await origin.ask('/package-10')).status, 451);
});
