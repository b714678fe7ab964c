import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The data directory of an origin: the one that was named, or the folder inside it where `up` keeps its origin. */
export function originDirOf(data: string): string {
  const inside = join(data, 'origin');
  return !existsSync(join(data, 'format.json')) && existsSync(inside) ? inside : data;
}
