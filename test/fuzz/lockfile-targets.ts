/** Lockfiles of every client, as they lie in anybody's repository. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { UsageError } from '../../src/core/errors.ts';
import { readLockfile } from '../../src/core/lockfile.ts';
import { reportOf, verdictsOf } from '../../src/core/lockfile-check.ts';
import type { Lockfile } from '../../src/core/lockfile-entry.ts';
import { applyEdits, type Target as Place, planRewrite } from '../../src/core/lockfile-rewrite.ts';
import { formatReport, formatRewrite } from '../../src/core/lockfile-text.ts';
import { hostOf, isAt, judgeUrl, parseRegistryUrl } from '../../src/core/lockfile-url.ts';
import { anyOf, anyText } from './inputs.ts';
import type { Target } from './target.ts';

const folder = new URL('../vectors/lockfiles/', import.meta.url);
const registry = 'https://door.example';

/** Whatever a rewrite changes, it is nothing but the edits that it names, and doing it again changes nothing. */
function readAny(bytes: Uint8Array): void {
  const lockfile = readLockfile(bytes);
  const verdicts = verdictsOf(lockfile, registry, 'https://registry.example');
  formatReport(lockfile, reportOf(lockfile), bytes, { registry, verdicts });
  for (const place of [{ to: registry }, 'portable'] as const) tryRewrite(bytes, lockfile, place);
}

function tryRewrite(bytes: Uint8Array, lockfile: Lockfile, place: Place): void {
  if (place === 'portable' && lockfile.format === 'yarn-1') return;
  const rewrite = planRewrite(lockfile, place);
  let at = 0;
  for (const { start, end } of rewrite.edits) {
    assert.ok(start >= at && end >= start && end <= bytes.length, 'edits overlap');
    at = end;
  }
  formatRewrite(rewrite, place, bytes);
  assert.deepEqual(planRewrite(readLockfile(applyEdits(bytes, rewrite.edits)), place).edits, []);
}

function readUrl(bytes: Uint8Array): void {
  const url = anyText(bytes);
  const judged = judgeUrl(url, 'p', '1.0.0');
  if (judged.kind === 'tarball') isAt(judged.base, registry);
  assert.doesNotMatch(hostOf(url), /@/);
  assertRegistry(url);
}

function assertRegistry(url: string): void {
  try {
    const parsed = parseRegistryUrl(url);
    assert.equal(parseRegistryUrl(parsed), parsed);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}

const TOKENS: Readonly<Record<string, readonly string[]>> = {
  npm: [
    '"resolved":',
    '"packages":',
    '"dependencies":{',
    '"version":"npm:p@1.0.0"',
    '"node_modules/p":',
    '"lockfileVersion": 1,',
  ],
  pnpm: [
    'resolution: {',
    'tarball: ',
    '\n    resolution:\n      tarball: ',
    ', ',
    "''",
    '\n  ? ',
    '\n  /p/1.0.0:',
    'packages:\n',
  ],
  'yarn-1': ['  resolved "', '  version "1.0.0"\n', 'p@1:\n', '#', '# yarn lockfile v1\n', '  integrity sha1-'],
  'yarn-4': ['  resolution: "', '::__archiveUrl=', '__metadata:\n', '  version: 8\n', '&', '@npm:', '#commit='],
  bun: ['/*', '*/', '//', ',', '["p@1.0.0", "", {}, ""]', '"workspaces": {}', '"lockfileVersion": 1,'],
};

function lockfileTarget(client: string): Target {
  const names = readdirSync(folder).filter((name) => name.startsWith(client));
  const files = names.map((name) => Uint8Array.from(readFileSync(new URL(name, folder))));
  return { name: `lockfile-${client}`, valid: fc.constantFrom(...files), read: readAny, tokens: TOKENS[client] ?? [] };
}

export const LOCKFILE_TARGETS: readonly Target[] = [
  ...Object.keys(TOKENS).map(lockfileTarget),
  {
    name: 'tarball-url',
    valid: anyOf(
      'https://registry.example/p/-/p-1.0.0.tgz',
      'http://a.example/x/p/download/p-1.0.0.tgz',
      'https://a.example/p/1.0.0/p-1.0.0.tgz',
    ),
    read: readUrl,
    tokens: ['/-/', '@', '%2f', '%', '..', '/download/', 'file:', 'https:'],
  },
];
