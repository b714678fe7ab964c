import { HOST_TARGETS } from './host-targets.ts';
import { HTTP_TARGETS } from './http-targets.ts';
import { INDEX_TARGETS } from './index-targets.ts';
import { LOCKFILE_TARGETS } from './lockfile-targets.ts';
import type { Target } from './target.ts';
import { UPSTREAM_TARGETS } from './upstream-targets.ts';

/** Every parser and codec that reads what strangers write. `npm test` tries each a little, `npm run fuzz` a lot. */
export const TARGETS: readonly Target[] = [
  ...INDEX_TARGETS,
  ...HOST_TARGETS,
  ...HTTP_TARGETS,
  ...UPSTREAM_TARGETS,
  ...LOCKFILE_TARGETS,
];
