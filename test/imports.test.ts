import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { wrongArrows } from './support/arrows.ts';

const dependencies = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).dependencies);

test('every import in src/ follows the arrows between folders', () => {
  const wrong = globSync('src/**/*.ts').flatMap((path) => wrongArrows(path, readFileSync(path, 'utf8'), dependencies));
  assert.deepEqual(wrong, []);
});

const core = 'src/core/entry.ts';
const refused = [
  [core, "import { readFileSync } from 'node:fs';", 'node:fs'],
  [core, "import {\n  store,\n} from '../io/disk.ts';", '../io/disk.ts'],
  [core, "export type { Store } from '../io/disk.ts';", '../io/disk.ts'],
  [core, "import fastify from 'fastify';", 'fastify'],
  [core, "import { randomBytes } from 'node:crypto';", 'randomBytes'],
  [core, 'const now = Date.now();', 'Date.now'],
  [core, "const data = process.env['DATA'];", 'process.'],
  ['src/io/disk.ts', "import { pull } from '../mirror/pull.ts';", '../mirror/pull.ts'],
  ['src/origin/learn.ts', "import { pull } from '../mirror/pull.ts';", '../mirror/pull.ts'],
  ['src/origin/learn.ts', "const pull = await import('../mirror/pull.ts');", '../mirror/pull.ts'],
  ['src/mirror/pull.ts', "import { main } from '../cli/main.ts';", '../cli/main.ts'],
  ['src/cli/main.ts', "import { rimraf } from 'rimraf';", 'rimraf'],
  ['src/config.ts', "import { disk } from './io/disk.ts';", './io/disk.ts'],
] as const;

for (const [path, source, named] of refused) {
  test(`${path} may not contain ${named}`, () => {
    const [sentence = '', ...more] = wrongArrows(path, source, ['fastify']);
    assert.ok(sentence.includes(named), sentence);
    assert.deepEqual(more, []);
  });
}

const accepted = [
  [core, "import { createHash } from 'node:crypto';\nimport { hex } from './bytes.ts';"],
  [core, "/** Not an import: from '../io/disk.ts'; time is not read with Date.now() here. */"],
  ['src/io/disk.ts', "import { open } from 'node:fs/promises';\nimport { hex } from '../core/bytes.ts';"],
  ['src/origin/server.ts', "import fastify from 'fastify';\nimport { disk } from '../io/disk.ts';"],
  ['src/cli/up.ts', "import { startOrigin } from '../origin/server.ts';\nimport { load } from '../config.ts';"],
] as const;

for (const [path, source] of accepted) {
  test(`${path} may contain: ${source.replaceAll('\n', ' ')}`, () => {
    assert.deepEqual(wrongArrows(path, source, ['fastify']), []);
  });
}
