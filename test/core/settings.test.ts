import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { SETTINGS, variableOf } from '../../src/core/settings.ts';

test('the documentation has a row for every setting', async () => {
  const text = await readFile(new URL('../../docs/operating.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| `--'));
  const settings = Object.values(SETTINGS).flat();
  for (const setting of settings) {
    const [flag = '', argument = ''] = setting.flag.replace(/[<>]/g, '').split(' ');
    const row = rows.find((line) => line.startsWith(`| \`${[flag, argument].join(' ').trim()}\``)) ?? '';
    for (const name of [variableOf(setting), setting.key])
      assert.ok(row.includes(`| \`${name}\` |`), `${flag}: ${name}`);
  }
  assert.equal(rows.length, new Set(settings.map(({ flag }) => flag)).size);
});
