import { sriOf } from './made-package.ts';

/** User agents as clients send them. */
export const AGENTS = {
  npm: 'npm/11.6.2 node/v24.11.0 linux x64 workspaces/false',
  'npm 6': 'npm/6.14.18 node/v14.21.3 linux x64',
  pnpm: 'pnpm/10.20.0 npm/? node/v24.11.0 linux x64',
  'pnpm 12': 'pnpm/12.21.0 npm/? node/v26.10.0 linux x64',
  'yarn 1': 'yarn/1.22.22 npm/? node/v24.11.0 linux x64',
  'yarn 4': 'got (https://github.com/sindresorhus/got)',
  bun: 'Bun/1.3.1',
} as const;

let networks = 0;

/** A loopback address in a network that no one came from before: to servers, another client. */
export function newNetwork(): string {
  networks++;
  return `127.${100 + (networks >> 8)}.${networks & 255}.1`;
}

/** Headers of a client that is redirected for what it asks: pnpm, which always verifies. */
export const pnpm = { 'user-agent': AGENTS.pnpm };

/** Headers of npm that will verify these bytes. */
export function npmFor(bytes: Uint8Array): Record<string, string> {
  return { 'user-agent': AGENTS.npm, 'pacote-integrity': sriOf(bytes) };
}
