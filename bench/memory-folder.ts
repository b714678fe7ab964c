/** A place for what is only written to be thrown away. */
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from './stage.ts';

const IN_MEMORY = '/dev/shm';

/** A folder in memory, until the end of the run; one of the run's own on the disk where memory has no such room. */
export async function memoryFolder(stage: Stage, bytes: number): Promise<string> {
  const room = await statfs(IN_MEMORY).catch(() => null);
  if (room === null || room.bavail * room.bsize < bytes) {
    stage.say(`no room in ${IN_MEMORY}: what the disk takes is measured too`);
    return mkdtemp(join(stage.work, 'folder-'));
  }
  const folder = await mkdtemp(join(IN_MEMORY, 'open-registry-bench-'));
  stage.atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
