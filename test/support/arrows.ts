import { posix } from 'node:path';

const roles = ['origin', 'mirror', 'router', 'auditor'];

/** Which folders a folder may import from, besides itself. Files right under src/ are named by their path. */
const mayImport: Record<string, readonly string[]> = {
  core: [],
  io: ['core'],
  web: ['core'],
  door: ['core', 'io'],
  'config.ts': ['core'],
  'index.ts': ['core', ...roles],
  cli: ['core', 'io', 'web', 'door', 'config.ts', ...roles],
  ...Object.fromEntries(roles.map((role) => [role, ['core', 'io', 'web', 'door']])),
};

const pureModules = new Set(['node:crypto', 'node:buffer']);

/** Dependencies that compute and do nothing else. */
const purePackages = new Set(['ssri', 'semver', 'npm-package-arg', 'validate-npm-package-name', 'ipaddr.js']);

/** Clock, randomness, environment and network as they can be had without an import. */
const impure =
  /\b(?:Date\.now|Math\.random|performance\.now|process\.|setTimeout|setInterval|setImmediate|fetch)\b|\bnew Date\(\)|\b(?:random(?:Bytes|UUID|Int|Fill)\w*|generateKey\w*|getRandomValues)\b/g;

const importOf =
  /(?:^|[\n;}])\s*(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|(?:^|[\n;])\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g;

/**
 * Everything in one source file that the layout does not allow, as sentences; an empty list when all is well.
 * @param path from the project's root, with slashes
 * @param dependencies the packages that the installed program will have
 */
export function wrongArrows(path: string, source: string, dependencies: readonly string[]): string[] {
  const code = withoutComments(source);
  const imports = [...code.matchAll(importOf)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  const wrong = imports
    .filter((target) => !isAllowed(path, target, dependencies))
    .map((target) => `${path} imports ${target}`);
  const uses = folderOf(path) === 'core' ? [...code.matchAll(impure)].map((match) => `${path} uses ${match[0]}`) : [];
  return [...wrong, ...uses];
}

function isAllowed(path: string, target: string, dependencies: readonly string[]): boolean {
  const folder = folderOf(path);
  if (target.startsWith('.')) return isAllowedFolder(folder, folderOf(posix.join(posix.dirname(path), target)));
  if (target.startsWith('node:')) return folder !== 'core' || pureModules.has(target);
  const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/');
  return dependencies.includes(name) && (folder !== 'core' || purePackages.has(name));
}

function isAllowedFolder(from: string, to: string): boolean {
  return from === to || (mayImport[from]?.includes(to) ?? false);
}

/** `src/core/entry.ts` → `core`, `src/config.ts` → `config.ts`; what lies outside src/ keeps its path. */
function folderOf(path: string): string {
  return path.match(/^src\/([^/]+)/)?.[1] ?? path;
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
}
