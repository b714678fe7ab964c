/** The flight that is under way for the key, or a new one. */
export function oneFlight<T>(flights: Map<string, Promise<T>>, key: string, task: () => Promise<T>): Promise<T> {
  const running = flights.get(key);
  if (running) return running;
  const flight = task().finally(() => flights.delete(key));
  flights.set(key, flight);
  return flight;
}
