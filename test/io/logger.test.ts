import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/io/logger.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('every line says who wrote it and when', async () => {
  const file = join(tempFolder(), 'log', 'up.log');
  createLogger({ role: 'mirror-1', level: 'info', file }).info({ host: 'x' }, 'hello');
  const { role, host, msg, time } = JSON.parse(await readFile(file, 'utf8'));
  assert.deepEqual([role, host, msg], ['mirror-1', 'x', 'hello']);
  assert.ok(Date.parse(time) > 0);
});

test('a log on a full disk ends nobody', { skip: existsSync('/dev/full') ? false : 'there is no /dev/full' }, () => {
  const logger = createLogger({ role: 'origin', level: 'info', file: '/dev/full' });
  for (let line = 0; line < 100; line++) assert.doesNotThrow(() => logger.info('x'.repeat(20_000)));
});
