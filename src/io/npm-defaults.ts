/** What npm itself comes with, as npm's own package says it. */
import npm from '@npmcli/config/lib/definitions/index.js';

/**
 * The registry whose host npm, finding it in a lockfile, takes for whichever registry is configured
 * (`replace-registry-host`); null if npm's package no longer says.
 */
export function replacedRegistry(): string | null {
  const { default: value } = npm.definitions.registry ?? {};
  return typeof value === 'string' ? value : null;
}
