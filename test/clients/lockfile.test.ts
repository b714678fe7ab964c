import { test } from 'node:test';
import { reasonToSkip } from '../support/client-check.ts';
import { npm12 } from '../support/client-table.ts';
import { installRewritten } from '../support/moved-lockfile.ts';

test('npm 12 installs from a lockfile that names a dead host, once it is moved', {
  skip: reasonToSkip(npm12),
}, async (t) => {
  await installRewritten(t, npm12, ['moved']);
});
