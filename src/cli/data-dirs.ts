/** Data directories that a command is pointed to: one, or those that lie in a folder such as that of `up`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { type Role, roleOf } from '../io/data-dir.ts';

export type FoundDataDir = { readonly dir: string; readonly role: Role };

/** @throws UsageError if there is none */
export async function dataDirsIn(target: string): Promise<FoundDataDir[]> {
  const inside = await readdir(target, { withFileTypes: true }).catch((cause) => {
    throw new UsageError(`there is no folder ${target} that can be read`, { cause });
  });
  const folders = inside.filter((one) => one.isDirectory()).map(({ name }) => join(target, name));
  const found: FoundDataDir[] = [];
  for (const dir of [target, ...folders.sort()]) {
    const role = await roleOf(dir);
    if (role !== null) found.push({ dir, role });
  }
  if (found.length > 0) return found;
  throw new UsageError(`${target} is no data directory, and holds none: there is no format.json`);
}
