import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import definitions from '@npmcli/config/lib/definitions/index.js';
import { UsageError } from '../../src/core/errors.ts';
import { readNpmConfig } from '../../src/io/npm-config.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----';

let home: string;
let env: Record<string, string>;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'npm-config-'));
});

beforeEach(async () => {
  await rm(home, { recursive: true });
  await mkdir(join(home, 'etc'), { recursive: true });
  env = { HOME: home, PATH: '', npm_config_userconfig: join(home, '.npmrc'), PREFIX: home };
});

after(() => rm(home, { recursive: true }));

test('without any configuration the registry is the default that npm itself ships', async () => {
  const config = await readNpmConfig(env);
  const shipped = definitions.definitions.registry?.default as unknown as string;
  assert.equal(`${config.registry}/`, shipped);
  assert.deepEqual(config.ca, []);
  assert.equal(config.strictSsl, true);
  assert.equal(config.proxy, null);
});

test('the user beats the global file, the environment beats both', async () => {
  await writeFile(join(home, 'etc/npmrc'), 'registry=https://global.registry.example/\nnoproxy=a.example,b.example');
  assert.equal((await readNpmConfig(env)).registry, 'https://global.registry.example');
  await writeFile(join(home, '.npmrc'), 'registry=https://user.registry.example/npm/');
  assert.equal((await readNpmConfig(env)).registry, 'https://user.registry.example/npm');
  env.npm_config_registry = 'https://environment.registry.example';
  const config = await readNpmConfig(env);
  assert.equal(config.registry, 'https://environment.registry.example');
  assert.equal(config.noProxy, 'a.example,b.example');
});

test("a project's file in the working directory is not read", async () => {
  const project = join(home, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{}');
  await writeFile(join(project, '.npmrc'), 'registry=https://project.registry.example/');
  const before = process.cwd();
  process.chdir(project);
  try {
    assert.doesNotMatch((await readNpmConfig(env)).registry, /project/);
  } finally {
    process.chdir(before);
  }
});

test("a project's file in the home folder is not read, unless it is the user's own", async () => {
  await writeFile(join(home, 'package.json'), '{}');
  await writeFile(join(home, '.npmrc'), 'registry=https://project.registry.example/');
  env.npm_config_userconfig = join(home, 'etc/user.npmrc');
  assert.doesNotMatch((await readNpmConfig(env)).registry, /project/);
});

test('tokens are left where they are, scoped registries are named as ignored', async () => {
  await writeFile(
    join(home, '.npmrc'),
    '@corp:registry=https://corp.registry.example/\n//corp.registry.example/:_authToken=secret-of-corp\n_auth=c2VjcmV0\n',
  );
  const config = await readNpmConfig(env);
  assert.deepEqual(config.scopedRegistriesIgnored, ['@corp']);
  assert.doesNotMatch(JSON.stringify(config), /secret|c2VjcmV0|corp\.registry/);
});

test('proxies come from npm first, then from the environment that npm honours', async () => {
  env.HTTPS_PROXY = 'http://environment-proxy.example:8080';
  env.NO_PROXY = 'internal.example';
  assert.equal((await readNpmConfig(env)).httpsProxy, 'http://environment-proxy.example:8080');
  assert.equal((await readNpmConfig(env)).noProxy, 'internal.example');
  await writeFile(join(home, '.npmrc'), 'https-proxy=http://user-proxy.example:3128\nproxy=plain-proxy.example:3129');
  const config = await readNpmConfig(env);
  assert.equal(config.httpsProxy, 'http://user-proxy.example:3128');
  assert.equal(config.proxy, 'http://plain-proxy.example:3129');
});

test('certificates are read from "ca" and "cafile"', async () => {
  await writeFile(join(home, 'ca.pem'), `# first\n${PEM}\n${PEM}\n`);
  await writeFile(join(home, '.npmrc'), `cafile=${join(home, 'ca.pem')}\nca="one"\nstrict-ssl=false\n`);
  const config = await readNpmConfig(env);
  assert.equal(config.ca.length, 3);
  assert.equal(config.strictSsl, false);
});

test('what npm would refuse is refused in words', async () => {
  await writeFile(join(home, '.npmrc'), `cafile=${join(home, 'missing.pem')}`);
  await assert.rejects(readNpmConfig(env), (error) => error instanceof UsageError && /cafile/.test(error.message));
  await writeFile(join(home, '.npmrc'), 'registry=ftp://registry.example/');
  await assert.rejects(readNpmConfig(env), /--upstream URL/);
});

test('unknown settings are no reason to complain', async (context) => {
  const written = context.mock.method(process.stderr, 'write', () => true);
  await writeFile(join(home, '.npmrc'), 'no-such-setting=1');
  await readNpmConfig({ ...env, npm_config_no_such_setting_either: '1' });
  assert.equal(written.mock.callCount(), 0);
});
