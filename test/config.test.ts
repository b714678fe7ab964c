import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readConfig } from '../src/config.ts';
import { UsageError } from '../src/core/errors.ts';
import { SETTINGS, variableOf } from '../src/core/settings.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-'));
});
after(() => rm(folder, { recursive: true }));

async function fileOf(value: unknown): Promise<string> {
  const path = join(folder, 'config.json');
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

const required = { data: 'd', port: '0' };

test('up needs nothing', async () => {
  assert.deepEqual(await readConfig('up', {}, {}), {
    data: 'data',
    port: 4873,
    mirrors: 2,
    upstream: null,
    upstreamTarballs: [],
    doors: [],
    logLevel: 'info',
  });
});

test('flags beat the environment, that beats the file, that beats the default', async () => {
  const config = await fileOf({ port: 1, mirrors: 3, logLevel: 'warn' });
  const env = { OPEN_REGISTRY_PORT: '2', OPEN_REGISTRY_MIRRORS: '4', OPEN_REGISTRY_CONFIG: config };
  const { port, mirrors, logLevel, data } = await readConfig('up', { port: '3' }, env);
  assert.deepEqual({ port, mirrors, logLevel, data }, { port: 3, mirrors: 4, logLevel: 'warn', data: 'data' });
  assert.equal((await readConfig('up', { config }, { OPEN_REGISTRY_CONFIG: 'missing.json' })).mirrors, 3);
});

test('every setting can be given in all three places', async () => {
  const samples: Record<string, string> = {
    data: 'folder',
    port: '81',
    host: '127.0.0.1',
    mirrors: '1',
    upstream: 'https://registry.example/npm',
    doors: 'redirect=https://door.example',
    trustProxy: '10.0.0.0/8',
    neverAsk: '@corp/*',
    upstreamTarballs: 'https://cdn.example',
    allowPrivate: 'true',
    redirectUnverified: 'yarn-4',
    trustedHosts: '0123456789abcdef',
    redirectTrusted: 'npm',
    redirectNever: 'npm',
    freshnessSeconds: '7',
    diskBudgetBytes: '20GB',
    logLevel: 'debug',
    origin: 'https://origin.example',
    publicUrl: 'https://mirror.example',
    originKey: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    peers: 'https://peer.example',
  };
  for (const command of ['up', 'origin', 'mirror'] as const) {
    const keys = SETTINGS[command].map(({ key }) => key);
    const flags = Object.fromEntries(keys.map((key) => [key, samples[key]]));
    const env = Object.fromEntries(SETTINGS[command].map((setting) => [variableOf(setting), samples[setting.key]]));
    const config = await fileOf(flags);
    const expected = await readConfig(command, flags, {});
    for (const key of keys) assert.notDeepEqual((expected as Record<string, unknown>)[key], undefined, key);
    assert.deepEqual(await readConfig(command, {}, env), expected);
    assert.deepEqual(await readConfig(command, { config }, {}), expected);
  }
});

test('what is repeated on the command line is a list in the file and separated in the environment', async () => {
  const doors = ['redirect=https://a.example', 'self=https://b.example'];
  const urls = ({ doors }: { doors: readonly { url: string }[] }): string[] => doors.map(({ url }) => url);
  const expected = ['https://a.example', 'https://b.example'];
  assert.deepEqual(urls(await readConfig('origin', { ...required, doors }, {})), expected);
  assert.deepEqual(urls(await readConfig('origin', { ...required, config: await fileOf({ doors }) }, {})), expected);
  for (const separator of [',', ' ', ', ']) {
    const env = { OPEN_REGISTRY_DOOR: doors.join(separator) };
    assert.deepEqual(urls(await readConfig('origin', required, env)), expected);
  }
});

test('trusted hosts and who is sent to them alone are lists, empty unless something is said', async () => {
  const read = async (flags: Record<string, unknown>, env = {}) => {
    const { trustedHosts, redirectTrusted } = await readConfig('origin', { ...required, ...flags }, env);
    return { trustedHosts, redirectTrusted };
  };
  const expected = { trustedHosts: ['0123456789abcdef', 'fedcba9876543210'], redirectTrusted: ['npm', 'pnpm'] };
  const env = {
    OPEN_REGISTRY_TRUSTED_HOSTS: '0123456789abcdef, fedcba9876543210',
    OPEN_REGISTRY_REDIRECT_TRUSTED: 'npm,pnpm',
  };
  assert.deepEqual(await read({}), { trustedHosts: [], redirectTrusted: [] });
  assert.deepEqual(await read(expected), expected);
  assert.deepEqual(await read({}, env), expected);
  assert.deepEqual(await read({ config: await fileOf(expected) }), expected);
});

test('sizes are bytes, with units of ten or two', async () => {
  const sizes = { 1500: 1_500, '2kB': 2_000, '1.5 MiB': 1_572_864, '20GB': 2e10, '1tib': 2 ** 40 };
  for (const [given, bytes] of Object.entries(sizes)) {
    assert.equal((await readConfig('origin', { ...required, diskBudgetBytes: given }, {})).diskBudgetBytes, bytes);
  }
  for (const given of ['0', '-1', 'much', '5XB', '1e9', '99999999TB']) {
    const read = readConfig('origin', { ...required, diskBudgetBytes: given }, {});
    await assert.rejects(read, /^UsageError: --disk-budget: .* is not a size such as 500MB/);
  }
});

test('URLs come in one spelling', async () => {
  const { upstream } = await readConfig('up', { upstream: 'HTTPS://Registry.Example:443/npm//' }, {});
  assert.equal(upstream, 'https://registry.example/npm');
});

test('an empty environment variable says nothing', async () => {
  assert.equal((await readConfig('up', {}, { OPEN_REGISTRY_PORT: '' })).port, 4873);
});

test('what is missing or wrong is told with its place', async () => {
  const cases: [Parameters<typeof readConfig>[0], Record<string, unknown>, Record<string, string>, RegExp][] = [
    ['origin', { port: '0' }, {}, /origin needs --data <DIR>.*OPEN_REGISTRY_DATA/],
    ['mirror', required, {}, /mirror needs --origin <URL>/],
    ['up', { port: '70000' }, {}, /^--port: "70000" is not a whole number from 0 to 65535$/],
    ['up', {}, { OPEN_REGISTRY_MIRRORS: 'two' }, /^OPEN_REGISTRY_MIRRORS: "two" is not a whole number/],
    ['up', { config: await fileOf({ port: {} }) }, {}, /^"port" in the configuration file: expected a text/],
    ['up', { doors: ['https://door.example'] }, {}, /^--door: .*redirect=URL, self=URL or canonical=URL/],
    ['up', { upstream: 'https://me:word@registry.example' }, {}, /no credentials/],
    ['up', { upstream: 'registry.example' }, {}, /not an http or https URL/],
    ['origin', { ...required, trustProxy: ['10.0.0.1/8'] }, {}, /^--trust-proxy/],
    ['origin', { ...required, neverAsk: ['a//b'] }, {}, /such as @scope\/\*/],
    ['origin', { ...required, redirectUnverified: ['curl'] }, {}, /not a known client; known are/],
    ['origin', { ...required, redirectNever: ['npm,curl'] }, {}, /^--redirect-never: "curl" is not a known client/],
    [
      'origin',
      { ...required, redirectTrusted: ['curl'] },
      {},
      /^--redirect-trusted: "curl" is not a known client; known/,
    ],
    [
      'origin',
      { ...required, trustedHosts: ['https://m.example'] },
      {},
      /^--trusted-hosts: .* is not a host id; "hosts/,
    ],
    [
      'origin',
      required,
      { OPEN_REGISTRY_TRUSTED_HOSTS: '0123456789ABCDEF' },
      /^OPEN_REGISTRY_TRUSTED_HOSTS: .* 16 hex/,
    ],
    ['mirror', { ...required, origin: 'https://o.example', originKey: 'x' }, {}, /not a verifier key/],
    ['up', { logLevel: 'loud' }, {}, /not one of silent/],
  ];
  for (const [command, flags, env, message] of cases) {
    await assert.rejects(readConfig(command, flags, env), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test('a file that is missing, no object, or has unknown keys is refused', async () => {
  await assert.rejects(
    readConfig('up', { config: join(folder, 'none.json') }, {}),
    /can't read the configuration file/,
  );
  for (const [content, message] of [
    ['{', /is not JSON/],
    ['[]', /is not a JSON object/],
    ['{"prot": 1}', /unknown keys: "prot"/],
  ] as const) {
    const config = await fileOf(content);
    await assert.rejects(readConfig('up', { config }, {}), message);
  }
  const shared = await fileOf({ peers: ['https://peer.example'], mirrors: 1 });
  assert.equal((await readConfig('up', { config: shared }, {})).mirrors, 1, 'other commands may share the file');
});

test('a mirror fetches ahead what a pattern names, and all of it for "all"', async () => {
  const origin = 'https://origin.example';
  const replicated = async (replicate?: unknown) =>
    (await readConfig('mirror', { ...required, origin, ...(replicate ? { replicate } : {}) }, {})).replicate;
  assert.deepEqual(await replicated(), []);
  assert.deepEqual(await replicated(['@types/*', 'express']), ['@types/*', 'express']);
  assert.deepEqual(await replicated('all'), ['*']);
  await assert.rejects(replicated('a/b/c'), UsageError);
});
