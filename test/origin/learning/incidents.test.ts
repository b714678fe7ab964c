import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Incident } from '../../../src/core/learn.ts';
import { createLogger } from '../../../src/io/logger.ts';
import { createIncidents } from '../../../src/origin/learning/incidents.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';

class CountingStore extends MemoryMetadataStore {
  writes = 0;

  override write(...changes: Parameters<MemoryMetadataStore['write']>): Promise<void> {
    this.writes += 1;
    return super.write(...changes);
  }
}

const badVersions = (count: number): Incident[] =>
  Array.from({ length: count }, (_, at) => ({
    kind: 'malformed-version',
    subject: `alpha@1.0.${at}`,
    detail: 'it has no dist object',
  }));

function open() {
  const metadata = new CountingStore();
  const lines: string[] = [];
  const logger = createLogger({ role: 'test', level: 'info', write: (line) => lines.push(line) });
  let counted = 0;
  const incidents = createIncidents({ metadata, logger, now: () => 7, count: () => counted++ });
  return { metadata, lines, incidents, counted: () => counted };
}

test('a package with thousands of bad versions costs a few writes and a few lines', async () => {
  const { metadata, lines, incidents, counted } = open();
  await incidents.report(badVersions(2_500));
  assert.equal(metadata.writes, 3);
  assert.equal(counted(), 2_500);
  assert.equal((await incidents.list()).length, 2_500);
  assert.equal(lines.length, 21);
  assert.equal(JSON.parse(lines.at(-1) ?? '').more, 2_480);
});

test('what is seen again is counted, and told once', async () => {
  const { lines, incidents, counted } = open();
  const [one] = badVersions(1) as [Incident];
  await incidents.report([one, one]);
  await incidents.report([one]);
  assert.deepEqual([lines.length, counted()], [1, 1]);
  assert.deepEqual(await incidents.list(), [{ ...one, first: 7, last: 7, count: 2 }]);
});

test('no incident costs nothing', async () => {
  const { metadata, incidents } = open();
  await incidents.report([]);
  assert.equal(metadata.writes, 0);
});
