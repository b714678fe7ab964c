import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { MirrorConfig, MirrorDeps } from '../../src/mirror/options.ts';
import { type RunningMirror, startMirror } from '../../src/mirror/service.ts';
import type { HostsOrigin } from './hosts-origin.ts';
import { LogLines } from './log-lines.ts';
import { tempFolder } from './temp-folder.ts';

export type TestMirror = RunningMirror & { readonly log: LogLines; readonly data: string };

/** A mirror on a loopback port; it ends with the test at the latest. */
export async function startTestMirror(
  t: Pick<TestContext, 'after'>,
  origin: string,
  config: Partial<MirrorConfig> = {},
  deps: Partial<MirrorDeps> = {},
): Promise<TestMirror> {
  const log = new LogLines('mirror');
  const data = config.data ?? tempFolder();
  const defaults = { origin, data, port: 0, host: '127.0.0.1', publicUrl: null, originKey: null, peers: [] };
  const retryTimes = { firstMs: 5, lastMs: 20 };
  const running = await startMirror(
    { ...defaults, ...config },
    { logger: log.logger, software: 'test', retryTimes, ...deps },
  );
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= running.close();
    return closing;
  };
  t.after(close);
  return { ...running, close, log, data };
}

/** A mirror that its origin has approved, and sends clients to. */
export async function startMember(
  t: Pick<TestContext, 'after'>,
  origin: HostsOrigin,
  config: Partial<MirrorConfig> = {},
  deps: Partial<MirrorDeps> = {},
): Promise<TestMirror> {
  const mirror = await startTestMirror(t, origin.url, config, deps);
  await mirror.log.until(({ state }) => state === 'pending' || state === 'connected');
  const standing = origin.hosts.list().find(({ id }) => id === mirror.hostId)?.standing;
  if (standing !== 'approved') await origin.hosts.approve(mirror.hostId);
  await mirror.log.until(({ state }) => state === 'connected');
  await origin.log.until(({ host, msg }) => host === mirror.hostId && /is healthy/.test(msg));
  return mirror;
}

/** Where a redirect would send a client for this blob. */
export function markedUrl(origin: HostsOrigin, mirror: Pick<RunningMirror, 'url' | 'hostId'>, sha512: string): string {
  const doorId = origin.hosts.publishedList()?.list.doors[0]?.id ?? '';
  const mark = origin.hosts.markFor(mirror.hostId, doorId, sha512);
  return `${mirror.url}/-/federation/blob/sha512/${sha512}?for=${mark}`;
}

export const randomBlob = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));
