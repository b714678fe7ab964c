// Heads and blobs that are not what their hashes say, sent to a mirror with a door: it never serves, nor keeps, anything else
// than what its log vouches for, and serves that as soon as someone sends it.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { TRANSPORT_LIES } from '../support/lies.ts';
import { lifetime } from '../support/lifetime.ts';
import { runCommand, startCommand } from '../support/processes.ts';
import { signedByLogOnly } from '../support/siege.ts';
import { type Lie, type LogReply, type LogServer, learned, SignedLog, serveLog } from '../support/signed-log.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const life = lifetime();
const data = tempFolder();
/** Where true packages come from. */
let real: WholeOrigin;
/** The origin of the mirror: its log is made by hand, its packages are the real ones, or lies. */
let origin: LogServer;
let url: string;
let count = 0;

before(async () => {
  real = await startWholeOrigin(life);
  origin = await serveLog(life, new SignedLog().growTo(3));
  origin.other = async ({ url: path = '' }) => passed(await fetch(`${real.door}${path}`));
  const args = ['mirror', '--origin', origin.url, '--data', data, '--port', '0', '--door', 'http://door.example'];
  [url = ''] = await (await startCommand(life, args)).ready('mirror');
});

afterEach(() => origin.beHonest());

async function passed(answer: Response): Promise<LogReply> {
  const head = answer.headers.get('open-registry-head');
  const headers = { 'content-type': 'application/octet-stream', ...(head ? { 'open-registry-head': head } : {}) };
  return { status: answer.status, headers, body: new Uint8Array(await answer.arrayBuffer()) };
}

/** A new package, which the mirror's log names and the mirror has not yet. */
async function freshPackage(head: (own: string) => string = (own) => own): Promise<{ name: string; truth: unknown }> {
  const name = `package-${count}`;
  count += 1;
  real.put(name);
  const { headers, body } = await real.ask(`/${name}`);
  origin.log.add(learned(name, head(String(headers['open-registry-head']))));
  await until('the checkpoint', async () => {
    await origin.publish();
    const shown = await (await fetch(`${url}/-/federation/checkpoint`)).text();
    return signedByLogOnly(shown) === (await origin.log.note());
  });
  return { name, truth: withoutDoor(String(body)) };
}

/** A packument but for whose door it came from. */
const withoutDoor = (packument: string): unknown =>
  JSON.parse(packument.replaceAll(/"tarball":"http:\/\/[^/]+/g, '"tarball":"'));

const flipped: Lie = ({ body, ...reply }) => {
  const bytes = Buffer.from(body as Uint8Array);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  return { ...reply, body: bytes };
};

let another: LogReply;
const LIES: Readonly<Record<string, Lie>> = {
  'a bit that is flipped': flipped,
  'a byte less': ({ body, ...reply }) => ({ ...reply, body: (body as Uint8Array).subarray(0, -1) }),
  'a byte more': ({ body, ...reply }) => ({ ...reply, body: Buffer.concat([body as Uint8Array, Buffer.from('\n')]) }),
  'that of another package': () => another,
  ...Object.fromEntries(
    [
      'nothing at all',
      'a page of HTML',
      'a 404',
      'a 500',
      'data without end',
      'a gzip bomb',
      'a bomb within a bomb',
    ].map((what) => [what, TRANSPORT_LIES[what] as Lie]),
  ),
  'a way to elsewhere': () => ({ status: 302, headers: { location: `${real.door}/` }, body: Buffer.from('') }),
};

for (const [about, path] of Object.entries({ 'a head': /^head\//, 'a blob of a package': /^blob\/sha256\// })) {
  describe(`instead of ${about}`, () => {
    before(async () => {
      real.put('another');
      const { headers } = await real.ask('/another');
      another = await passed(await fetch(`${real.door}/-/federation/head/${headers['open-registry-head']}`));
    });

    for (const [what, lie] of Object.entries(LIES)) {
      it(`${what}: is never served`, async () => {
        const { name, truth } = await freshPackage();
        origin.lie(path, lie);
        const refused = await fetch(`${url}/${name}`);
        assert.ok(refused.status >= 500, `${refused.status}`);
        assert.match(((await refused.json()) as { error: string }).error, /./);
        origin.beHonest();
        assert.deepEqual(withoutDoor(await (await fetch(`${url}/${name}`)).text()), truth);
      });
    }
  });
}

it('a head that the log gives another package: is never served under its name', async () => {
  real.put('victim');
  const { headers } = await real.ask('/victim');
  const { name } = await freshPackage(() => String(headers['open-registry-head']));
  const refused = await fetch(`${url}/${name}`);
  assert.ok(refused.status >= 500, `${refused.status}`);
});

it('a tarball of other bytes: is never served', async () => {
  const { name } = await freshPackage();
  const path = `/${name}/-/${name}-1.0.0.tgz`;
  const truth = (await real.ask(path)).body;
  origin.lie(/^(blob\/sha512|\/package-)/, flipped);
  const refused = await fetch(`${url}${path}`).then(
    (answer) => answer.arrayBuffer().then((bytes) => ({ answer, bytes })),
    () => null,
  );
  assert.ok(refused === null || refused.answer.status >= 500, 'an error, or a connection that is cut');
  origin.beHonest();
  const answer = await until('the true bytes', async () => {
    const found = await fetch(`${url}${path}`);
    const bytes = Buffer.from(await found.arrayBuffer());
    return found.status === 200 ? bytes : null;
  });
  assert.ok(answer.equals(truth));
});

it('nothing of that was stored', async () => {
  const { code, stdout } = await runCommand(['verify', data]);
  assert.equal(code, 0, stdout);
});

after(() => assert.ok(count > 20));
