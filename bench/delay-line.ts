/** A wire of some length: what goes in comes out in the same order, a fixed time later. Nothing limits how much. */
export type DelayLine<T> = {
  put(item: T, now: number): void;
  /** What has arrived by now, once. */
  arrived(now: number): T[];
  /** When the next will arrive, on the clock of `now`; infinite if nothing is under way. */
  nextAt(): number;
};

export function delayLine<T>(ms: number): DelayLine<T> {
  const underWay: { readonly item: T; readonly at: number }[] = [];
  return {
    put: (item, now) => void underWay.push({ item, at: now + ms }),
    arrived(now) {
      const first = underWay.findIndex(({ at }) => at > now);
      return underWay.splice(0, first < 0 ? underWay.length : first).map(({ item }) => item);
    },
    nextAt: () => underWay[0]?.at ?? Number.POSITIVE_INFINITY,
  };
}
