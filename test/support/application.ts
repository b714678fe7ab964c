import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Something to install, that shows by what it prints whether it was installed right. */
export interface Application {
  /** Its package.json. */
  readonly manifest: Readonly<Record<string, unknown>> & { readonly dependencies: Readonly<Record<string, string>> };
  /** Its application.mjs: uses each dependency, so that a missing or wrong file in the installed tree shows. */
  readonly program: string;
  /** What it prints when it was installed right. */
  readonly says: string;
  /** No client installs fewer packages than these for it. */
  readonly packagesMin: number;
  /**
   * How much of it, from 0 to 1, mirrors serve at least. npm asks for a version once for each place in the tree where it
   * belongs, at the same time; what is asked for again comes from the origin.
   */
  readonly redirectedMin: number;
}

/**
 * A small application of about 40 packages that has one of each kind that registries get wrong: scoped names, aliases, two versions
 * of one package, optional packages per platform, a pre-release, a deprecated package, bundled dependencies. All are long settled, so
 * every client resolves the same versions and no age gate holds one back.
 */
const manifest = {
  name: 'application',
  version: '1.0.0',
  private: true,
  type: 'module',
  dependencies: {
    '@aliased/ms': 'npm:ms@2.1.3',
    '@isaacs/string-locale-compare': '1.1.0',
    '@parcel/watcher-wasm': '2.5.1',
    '@reflink/reflink': '0.1.19',
    '@tootallnate/once': '2.0.0',
    anymatch: '3.1.3',
    'is-binary-path': '2.1.0',
    'cross-spawn': '7.0.6',
    'is-odd': '3.0.1',
    ms: '2.0.0',
    'p-limit': '3.1.0',
    pad: 'npm:left-pad@1.3.0',
    'string-width': '4.2.3',
    uvu: '0.6.0-next.1',
  },
};

const program = `import { createRequire } from 'node:module';
import aliasedMs from '@aliased/ms';
import compareLocale from '@isaacs/string-locale-compare';
import { subscribe } from '@parcel/watcher-wasm';
import { reflinkFile } from '@reflink/reflink';
import once from '@tootallnate/once';
import anymatch from 'anymatch';
import spawn from 'cross-spawn';
import isBinaryPath from 'is-binary-path';
import isOdd from 'is-odd';
import ms from 'ms';
import limit from 'p-limit';
import pad from 'pad';
import width from 'string-width';
import { equal } from 'uvu/assert';

const require = createRequire(import.meta.url);
const versions = ['ms', '@aliased/ms', 'pad'].map((name) => require(name + '/package.json').version);
const functions = [compareLocale, subscribe, reflinkFile, once.default ?? once, anymatch, limit, spawn.sync, equal];
const results = [ms('2 days') === aliasedMs('2 days'), pad('7', 2, '0'), width('abc'), isOdd(3), isBinaryPath('a.png')];
console.log(['application runs:', ...versions, ...results, functions.every((f) => typeof f === 'function')].join(' '));
`;

export const smallApplication: Application = {
  manifest,
  program,
  says: 'application runs: 2.0.0 2.1.3 1.3.0 true 07 3 true true true',
  packagesMin: 36,
  redirectedMin: 1,
};

/** Writes an application, not installed, into a folder of its own. */
export async function writeApplication(folder: string, { manifest, program }: Application): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await writeFile(join(folder, 'application.mjs'), program);
}

/** An application's own dependencies as real names and exact versions, aliases resolved. */
export function applicationSpecs({ manifest }: Application): [name: string, version: string][] {
  return Object.entries(manifest.dependencies).map(([name, wanted]) => {
    const alias = wanted.match(/^npm:(.+)@(.+)$/);
    return alias ? [alias[1] ?? '', alias[2] ?? ''] : [name, wanted];
  });
}
