import { dirname, join } from 'node:path';

/** The checkout's root. */
export const projectRoot = dirname(dirname(import.meta.dirname));

/** Kept between runs: package managers, and the packages that tests install. */
export const cacheRoot = process.env.OPEN_REGISTRY_TEST_CACHE ?? join(projectRoot, '.cache');
