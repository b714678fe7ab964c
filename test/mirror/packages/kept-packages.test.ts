import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { runVerify } from '../../../src/cli/verify.ts';
import { openMirrorStores } from '../../../src/io/stores.ts';
import type { MirrorConfig, MirrorDeps } from '../../../src/mirror/options.ts';
import { ask } from '../../support/ask.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';
/** The packages' share is a quarter: room for about six of those that {@link learned} makes. */
const BUDGET = 4_000_000;
const script = join(import.meta.dirname, '../../support/mirror-process.ts');
const NAMES = Array.from({ length: 12 }, (_, at) => `p${at}`);

/** Has the upstream have packages of about 150 kB of metadata. */
function put(origin: WholeOrigin, names: readonly string[], versions = 10): void {
  for (const name of names) {
    const manifests = Array.from({ length: versions }, (_, i) => {
      // Long, and in no two of them the same.
      const description = `${name} ${i} `.repeat(3_000);
      return [`1.${i}.0`, { description }] as const;
    });
    origin.put(name, Object.fromEntries(manifests));
  }
}

const from = (url: string, path: string) => ask(url, { target: path, headers: { host: 'packages.example' } });

async function startDoor(
  t: TestContext,
  origin: WholeOrigin,
  config: Partial<MirrorConfig> = {},
  deps: Partial<MirrorDeps> = {},
) {
  const settings = { door: DOOR, freshnessMs: 86_400_000, diskBudgetBytes: BUDGET, ...config };
  const mirror = await startTestMirror(t, origin.door, settings, deps);
  const get = async (name: string) => (await from(mirror.url, `/${name}`)).status;
  return { mirror, get };
}

const packagesIn = (data: string): number => statSync(join(data, 'index-blobs.sqlite')).size;

async function heldIn(data: string): Promise<string[]> {
  const stores = await openMirrorStores(data);
  const held = stores.door?.heads.oldest(100, 0, []).map(({ name }) => name) ?? [];
  await stores.close();
  return held;
}

test('packages that nobody asked for the longest go; those that stay are whole with the outside away', async (t) => {
  const origin = await startWholeOrigin(t);
  put(origin, NAMES);
  const { mirror, get } = await startDoor(t, origin);
  for (const name of NAMES) {
    assert.equal(await get(name), 200, name);
    assert.equal(await get('p0'), 200, 'asked for all the time');
  }
  await origin.close();
  const answers = new Map<string, number>();
  for (const name of NAMES) answers.set(name, await get(name));
  const kept = NAMES.filter((name) => answers.get(name) === 200);
  assert.ok(kept.length >= 3 && kept.length < NAMES.length, kept.join());
  assert.deepEqual(kept, ['p0', ...NAMES.slice(-(kept.length - 1))]);
  assert.ok([...answers.values()].every((status) => status === 200 || status === 502));
  for (const name of kept) assert.equal((await from(mirror.url, `/${name}/1.3.0`)).status, 200);
  await mirror.close();
  assert.deepEqual((await heldIn(mirror.data)).sort(), [...kept].sort());
  assert.equal(await runVerify(mirror.data, () => undefined), 0);
  assert.ok(packagesIn(mirror.data) <= BUDGET / 4, 'within their share');
});

test('what was let go comes again when it is asked for', async (t) => {
  const origin = await startWholeOrigin(t);
  put(origin, NAMES);
  const { mirror, get } = await startDoor(t, origin);
  const first = (await from(mirror.url, '/p0')).body.toString();
  for (const name of NAMES) assert.equal(await get(name), 200);
  const heads = await mirrorMetric(mirror.url, 'packages_let_go_total');
  assert.ok(heads > 0);
  assert.equal((await from(mirror.url, '/p0')).body.toString(), first);
});

async function mirrorMetric(url: string, name: string): Promise<number> {
  const page = await (await fetch(`${url}/-/metrics`)).text();
  return Number(new RegExp(`open_registry_${name}{role="mirror"} (\\d+)`).exec(page)?.[1] ?? 0);
}

test('the order of use survives a restart, and a lower budget is kept from the start', async (t) => {
  const origin = await startWholeOrigin(t);
  put(origin, NAMES);
  const first = await startDoor(t, origin, { diskBudgetBytes: 100_000_000 });
  for (const name of [...NAMES, 'p1', 'p0']) assert.equal(await first.get(name), 200);
  await first.mirror.close();
  assert.ok(packagesIn(first.mirror.data) > BUDGET / 4);
  const second = await startDoor(t, origin, { data: first.mirror.data });
  await second.mirror.close();
  const held = await heldIn(first.mirror.data);
  assert.deepEqual(held.slice(-3), ['p11', 'p1', 'p0']);
  assert.ok(held.length < NAMES.length);
  assert.ok(packagesIn(first.mirror.data) <= BUDGET / 4, 'the file has become smaller');
});

test('a package that is larger than the share is served, and pushes nothing out', async (t) => {
  const origin = await startWholeOrigin(t);
  put(origin, ['small', 'other']);
  put(origin, ['large'], 120);
  const { mirror, get } = await startDoor(t, origin);
  for (const name of ['small', 'large', 'other']) assert.equal(await get(name), 200, name);
  await mirror.close();
  assert.deepEqual((await heldIn(mirror.data)).sort(), ['other', 'small']);
});

test('nothing goes while it is being served, however many ask at once', async (t) => {
  const origin = await startWholeOrigin(t);
  put(origin, NAMES);
  const { mirror, get } = await startDoor(t, origin, { diskBudgetBytes: 1_500_000 });
  for (let round = 0; round < 3; round++) {
    const statuses = await Promise.all([...NAMES, ...NAMES].map(get));
    assert.deepEqual(
      statuses.filter((status) => status !== 200),
      [],
    );
  }
  await mirror.close();
  assert.equal(await runVerify(mirror.data, () => undefined), 0);
});

for (const until of ['packages:forgotten', 'packages:removed']) {
  test(`killed while packages go (${until}), the next start has them whole or not at all`, async (t) => {
    const origin = await startWholeOrigin(t);
    put(origin, NAMES);
    const data = tempFolder();
    const options = { door: DOOR, freshnessMs: 86_400_000, diskBudgetBytes: BUDGET, until, times: 2 };
    const child = spawn(process.execPath, [script, origin.door, data, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const gone = once(child, 'exit');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const url = line.split(' ')[1] as string;
    const answered: string[] = [];
    for (const name of NAMES) {
      const reply = await from(url, `/${name}`).catch(() => null);
      if (reply === null) break;
      assert.equal(reply.status, 200);
      answered.push(name);
    }
    if (answered.length === NAMES.length) assert.fail('nothing was let go');
    await gone;
    assert.ok(answered.length > 2);

    assert.equal(await runVerify(data, () => undefined), 0);
    const held = await heldIn(data);
    assert.equal(held.includes('p1'), until === 'packages:forgotten');
    await origin.close();
    const { get } = await startDoor(t, origin, { data });
    for (const name of answered) assert.equal(await get(name), held.includes(name) ? 200 : 502, name);
  });
}
