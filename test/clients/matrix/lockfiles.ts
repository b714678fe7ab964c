import { test } from 'node:test';
import { reasonToSkip } from '../../support/client-check.ts';
import { everydayClients, furtherClients } from '../../support/client-table.ts';
import { installRewritten } from '../../support/moved-lockfile.ts';

for (const client of [...everydayClients, ...furtherClients]) {
  // Its lockfile is not one that can be rewritten yet.
  if (client.label === 'deno') continue;
  test(`${client.label} installs frozen from a rewritten lockfile`, { skip: reasonToSkip(client) }, async (t) => {
    await installRewritten(t, client, client.label === 'yarn 1' ? ['moved'] : ['moved', 'portable']);
  });
}
