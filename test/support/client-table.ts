import type { Fetched } from './client-folders.ts';

/** What one run of a client may know: where it works, where its settings go, and which registry it is told to use. */
export interface Site {
  readonly project: string;
  readonly home: string;
  /** Base URL without a slash at the end. */
  readonly registry: string;
  /** A token for that registry, and for nobody else. */
  readonly token: string;
}

/** A package manager as data: how a user would set it up, run it, and read its lockfile. */
export interface Client extends Fetched {
  readonly command: string;
  readonly install: readonly string[];
  /** From the lockfile and nothing else. */
  readonly frozen: readonly string[];
  readonly lockfile: string;
  /** Settings files by path below the home folder, exactly what one line of documentation would ask for. */
  readonly settings: (site: Site) => Record<string, string>;
  /** How the application is started; node itself where the client leaves a node_modules folder. */
  readonly start: readonly string[];
  /** Whether it checks what it downloads against the packument on a first install and shows that, so that strangers may serve it. */
  readonly redirected: boolean;
  /**
   * What it does with a lockfile that was made at another registry: fetches from there and never from the configured one
   * (`follows`), fetches from the configured one (`replaces`), or gives up (`refuses`).
   */
  readonly foreignLockfile: 'follows' | 'replaces' | 'refuses';
  /** Where it keeps packages below the home folder, if the project gets no node_modules folder. */
  readonly store?: string;
  /** Makes it try again soon, and wait for nobody for long; with its defaults a test of failures takes minutes. */
  readonly hasty?: readonly string[];
}

const plainNode = ['node', 'application.mjs'];

function npmrc({ registry, token }: Site): string {
  const address = registry.replace(/^https?:/, '');
  return [`registry=${registry}/`, `${address}/:_authToken=${token}`, 'update-notifier=false', ''].join('\n');
}

const hasty = ['--fetch-retry-mintimeout=200', '--fetch-retry-maxtimeout=1000', '--fetch-timeout=3000'];

const npmSettings = (site: Site) => ({ '.npmrc': npmrc(site) });

function npm(version: string, redirected = true): Client {
  return {
    label: `npm ${major(version)}`,
    spec: `npm@${version}`,
    command: 'npm',
    install: ['install'],
    frozen: ['ci'],
    lockfile: 'package-lock.json',
    settings: npmSettings,
    start: plainNode,
    redirected,
    foreignLockfile: major(version) >= 12 ? 'refuses' : major(version) > 6 ? 'follows' : 'replaces',
    hasty,
  };
}

function pnpm(version: string): Client {
  return {
    label: `pnpm ${major(version)}`,
    spec: `pnpm@${version}`,
    command: 'pnpm',
    install: ['install', '--no-frozen-lockfile'],
    frozen: ['install', '--frozen-lockfile'],
    lockfile: 'pnpm-lock.yaml',
    settings: npmSettings,
    start: plainNode,
    redirected: true,
    foreignLockfile: 'replaces',
    ...(major(version) >= 12
      ? { native: true, hasty: hasty.map((flag) => flag.replace('--', '--config.')) }
      : { hasty }),
  };
}

/** Fetches every platform's variant that its rules do not exclude, and so more than the others. */
export const yarn1: Client = {
  label: 'yarn 1',
  spec: 'yarn@1.22.22',
  command: 'yarn',
  install: ['install', '--non-interactive'],
  frozen: ['install', '--non-interactive', '--frozen-lockfile'],
  lockfile: 'yarn.lock',
  // Without always-auth it sends no token for unscoped packages, and a leak could not be seen.
  settings: (site) => ({ '.npmrc': `${npmrc(site)}always-auth=true\n` }),
  start: plainNode,
  redirected: false,
  foreignLockfile: 'follows',
};

export const yarn4: Client = {
  label: 'yarn 4',
  spec: '@yarnpkg/cli-dist@4.18.1',
  command: 'yarn',
  install: ['install'],
  frozen: ['install', '--immutable'],
  lockfile: 'yarn.lock',
  settings: ({ registry, token }) => ({
    '.yarnrc.yml': [
      `npmRegistryServer: ${registry}`,
      `unsafeHttpWhitelist: [${new URL(registry).hostname}]`,
      `npmAuthToken: ${token}`,
      'npmAlwaysAuth: true',
      'enableTelemetry: false',
      '',
    ].join('\n'),
  }),
  // Its default is no node_modules folder at all.
  start: ['yarn', 'node', 'application.mjs'],
  store: '.yarn/berry/cache',
  redirected: false,
  foreignLockfile: 'replaces',
};

export const bun: Client = {
  label: 'bun',
  spec: 'bun@1.4.5',
  command: 'bun',
  install: ['install'],
  frozen: ['install', '--frozen-lockfile'],
  lockfile: 'bun.lock',
  settings: ({ registry, token }) => ({
    '.bunfig.toml': `[install]\nregistry = { url = "${registry}/", token = "${token}" }\n`,
  }),
  start: plainNode,
  redirected: false,
  foreignLockfile: 'follows',
  native: true,
};

const deno: Client = {
  label: 'deno',
  spec: 'deno@2.9.6',
  command: 'deno',
  install: ['install', '--node-modules-dir=auto'],
  frozen: ['install', '--node-modules-dir=auto', '--frozen'],
  lockfile: 'deno.lock',
  settings: npmSettings,
  start: plainNode,
  redirected: false,
  foreignLockfile: 'follows',
  native: true,
};

/** Runs the commands that only npm has. */
export const npm12 = npm('12.2.0');

/** The quickest of them all. */
export const pnpm12 = pnpm('12.21.0');

/** The client as mirrors of strangers meet it: pnpm 12 without its token, since with one it is sent to none of them. */
export function forStrangers(client: Client): Client {
  if (client.label !== pnpm12.label) return client;
  return { ...client, settings: ({ registry }) => ({ '.npmrc': `registry=${registry}/\nupdate-notifier=false\n` }) };
}

/** What `npm test` installs with. */
export const everydayClients: readonly Client[] = [
  npm('10.9.9'),
  npm('11.21.2'),
  npm12,
  pnpm('10.34.9'),
  pnpm12,
  yarn1,
  yarn4,
  bun,
];

/** What `npm run test:clients` installs with, besides. */
export const furtherClients: readonly Client[] = [
  npm('6.14.18', false),
  npm('8.19.4'),
  pnpm('8.15.9'),
  pnpm('11.28.11'),
  deno,
];

function major(version: string): number {
  return Number.parseInt(version, 10);
}
