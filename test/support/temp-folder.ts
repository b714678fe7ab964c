import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const made: string[] = [];

// At the end of the file, not of each test: stores that a failed test left open still need their folder.
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

/** A new empty folder that is removed when the test file has run. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'open-registry-test-'));
  made.push(folder);
  return folder;
}
