import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** The checkout's root. */
export const projectRoot = dirname(dirname(import.meta.dirname));

/** Kept between runs: package managers, and the packages that tests install. */
export const cacheRoot = process.env.OPEN_REGISTRY_TEST_CACHE ?? join(projectRoot, '.cache');

/** An empty folder that disappears with the test. */
export async function temporaryFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'open-registry-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
