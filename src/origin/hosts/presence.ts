/**
 * Which hosts are there now. A host is present while its feed is open and its heartbeats come; nothing else counts, and
 * nothing of it is stored: after a restart every host has to show itself anew.
 */
import { HEARTBEATS_MISSED_MAX } from '../../core/membership.ts';

/** The newest feed of a host; `end` closes it. */
type PresentHost = { readonly end: () => void; lastSignMs: number };

export type Presence = {
  /**
   * The host's feed is open. One host has one feed: an older one is ended, since its connection may be long dead.
   * @returns to be called when the feed's connection has closed
   */
  arrive(hostId: string, end: () => void): () => void;
  heartbeat(hostId: string): void;
  isPresent(hostId: string): boolean;
  /** Ends the host's feed, and with it its presence. */
  expel(hostId: string): void;
  /** Monotonic ms at which the next presence ends unless a heartbeat comes; Infinity if there is none. */
  nextEndMs(): number;
};

/**
 * @param deps `monotonic` in ms, since windows must not jump with the clock; `changed` is told of every arrival and end
 * that an event causes (running out of heartbeats is none: see `nextEndMs`)
 */
export function createPresence(deps: {
  monotonic: () => number;
  heartbeatSeconds: number;
  changed: (hostId: string) => void;
}): Presence {
  const hosts = new Map<string, PresentHost>();
  const graceMs = HEARTBEATS_MISSED_MAX * deps.heartbeatSeconds * 1000;
  const endOf = (host: PresentHost) => host.lastSignMs + graceMs;

  return {
    arrive(hostId, end) {
      const host = { end, lastSignMs: deps.monotonic() };
      const before = hosts.get(hostId);
      hosts.set(hostId, host);
      before?.end();
      deps.changed(hostId);
      return () => {
        if (hosts.get(hostId) !== host) return;
        hosts.delete(hostId);
        deps.changed(hostId);
      };
    },
    heartbeat(hostId) {
      const host = hosts.get(hostId);
      if (!host) return;
      const wasPresent = endOf(host) >= deps.monotonic();
      host.lastSignMs = deps.monotonic();
      if (!wasPresent) deps.changed(hostId);
    },
    isPresent(hostId) {
      const host = hosts.get(hostId);
      return host !== undefined && endOf(host) >= deps.monotonic();
    },
    expel(hostId) {
      const host = hosts.get(hostId);
      if (!host) return;
      hosts.delete(hostId);
      host.end();
      deps.changed(hostId);
    },
    nextEndMs() {
      const now = deps.monotonic();
      return Math.min(...[...hosts.values()].map(endOf).filter((end) => end >= now));
    },
  };
}
