// Brings a fresh checkout to the point where every command works, on any Node.js from 20 and with nothing but npm.
// Runs before each npm script, so it is plain JavaScript and costs milliseconds when nothing is to be done.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Enough for the program by itself; then the pinned runtime may be missing, for instance where install scripts are forbidden. */
const runsSources = Number(process.versions.node.split('.')[0]) >= 24;
const runtime = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');

if (!isInstalled()) install();
if (process.argv.includes('--tests')) prepareTests();

/** npm writes the hidden lockfile last, so an install that was interrupted has none and counts as missing. */
function isInstalled() {
  const wanted = readLock('package-lock.json');
  const present = readLock(join('node_modules', '.package-lock.json'));
  if (!wanted || !present || !(existsSync(runtime) || runsSources)) return false;
  return Object.entries(wanted).every(([path, entry]) => path === '' || isSame(entry, present[path]));
}

/** Optional packages of other platforms stand in the lockfile only. */
function isSame(wanted, present) {
  if (!present) return wanted.optional === true;
  return present.version === wanted.version && present.integrity === wanted.integrity;
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function install() {
  say('installing the packages of package-lock.json (once, and whenever it changes)');
  // Flags instead of inherited settings: `npm run -s` would silence errors, NODE_ENV=production would leave out the runtime.
  const result = npm(['ci', '--include=dev', '--include=optional', '--loglevel=error', '--no-progress']);
  if (result.status !== 0) fail('npm ci failed', result);
  const version = spawnSync(runtime, ['--version'], { encoding: 'utf8' });
  if (version.status === 0 || runsSources) return;
  fail('the runtime (package "node") was not installed: allow its install script, or use Node.js 24 or later', version);
}

/** Started with the Node.js that npm itself runs on: the pinned one in node_modules disappears for a while. */
function npm(args) {
  const node = process.env.npm_node_execpath ?? process.execPath;
  const script = process.env.npm_execpath;
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
  if (script?.endsWith('.js')) return spawnSync(node, [script, ...args], options);
  return spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
}

/** Tests run other package managers; they are fetched here so that no test's time depends on a download. */
function prepareTests() {
  const script = join(root, 'test', 'support', 'prepare-clients.ts');
  if (!existsSync(script)) return;
  const sets = process.argv.includes('--matrix') ? ['--matrix'] : [];
  const result = spawnSync(existsSync(runtime) ? runtime : process.execPath, [script, ...sets], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  process.exitCode = result.status ?? 1;
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text, result) {
  say(text);
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}\n`);
  process.exit(1);
}
