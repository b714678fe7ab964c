import { utf8 } from '../src/core/bytes.ts';
import { sha256Hex } from '../src/core/hash.ts';
import type { HostView } from '../src/core/selection.ts';

/** Hosts as decisions see them, all fit to serve. */
export function madeHosts(count: number): readonly HostView[] {
  return Array.from({ length: count }, (_, index) => {
    const hostname = `mirror-${index}.example`;
    const id = sha256Hex(utf8(hostname)).slice(0, 16);
    const fit = { present: true, healthy: true, approved: true, private: false };
    return { id, url: `https://${hostname}`, hostname, scheme: 'https', ...fit };
  });
}
