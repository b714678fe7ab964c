/** Which packages a mirror lets go when what it keeps of packages becomes too much for its share of the disk. */

/** What is kept of a package. `bytes`: all that it is made of, including what it shares with others. */
export type Kept = { readonly name: string; readonly bytes: number };

/** In bytes: what is taken by now, what is about to come, and what all of it may take. */
export type Room = { readonly used: number; readonly incoming: number; readonly bytesMax: number };

/**
 * Those that were not used for the longest time, as few as make enough room. As what is shared with others stays, it may
 * turn out to be too few, and never too many: look again afterwards.
 *
 * What alone is larger than the whole share goes first, and takes no room from the others as long as it has to stay.
 *
 * @param oldestFirst in the order of their last use
 * @param mayGo false for what is being used
 */
export function chooseToLetGo<K extends Kept>(
  oldestFirst: readonly K[],
  { used, incoming, bytesMax }: Room,
  mayGo: (one: K) => boolean,
): K[] {
  const isBeyond = ({ bytes }: Kept) => bytes > bytesMax;
  const needed = incoming > bytesMax ? 0 : incoming;
  if (used + needed <= bytesMax) return [];
  const beyond = oldestFirst.filter(isBeyond);
  const going = beyond.filter(mayGo);
  let over = used + needed - bytesMax - beyond.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const one of oldestFirst) {
    if (over <= 0) break;
    if (isBeyond(one) || !mayGo(one)) continue;
    going.push(one);
    over -= one.bytes;
  }
  return going;
}
