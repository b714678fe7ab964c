import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { VerifyReport } from '../../src/core/verify-report.ts';
import { callAdmin } from '../../src/io/admin-socket.ts';

/** Files below a data directory whose path matches, temporary ones included. */
export async function storedFiles(data: string, path: RegExp): Promise<string[]> {
  const files = await readdir(data, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(data.length + 1))
    .filter((file) => path.test(file));
}

/** Asserts that a running origin finds nothing wrong with anything that it has stored. */
export async function assertSound(data: string): Promise<void> {
  const report = (await callAdmin(data, 'GET', ['verify'])) as VerifyReport;
  assert.ok(report.checks.length > 0);
  assert.deepEqual(
    report.checks.flatMap(({ problems }) => problems),
    [],
  );
}

/** What an origin lists for its admin, as `<kind> <subject>`. */
export async function incidentsOf(data: string): Promise<string[]> {
  const incidents = (await callAdmin(data, 'GET', ['incidents'])) as { kind: string; subject: string }[];
  return incidents.map(({ kind, subject }) => `${kind} ${subject}`).sort();
}
