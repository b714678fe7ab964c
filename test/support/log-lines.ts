import { createLogger, type Logger } from '../../src/io/logger.ts';

export type LogLine = { readonly level: string; readonly msg: string; readonly [fact: string]: unknown };

/** A server's log as events that a test can wait for. */
export class LogLines {
  readonly lines: LogLine[] = [];
  readonly logger: Logger;
  #waiting: { matches: (line: LogLine) => boolean; resolve: (line: LogLine) => void }[] = [];

  constructor(role: string) {
    this.logger = createLogger({ role, level: 'debug', write: (text) => this.#take(JSON.parse(text)) });
  }

  /** The first line, past or future, that matches. */
  until(matches: (line: LogLine) => boolean): Promise<LogLine> {
    const past = this.lines.find(matches);
    return past ? Promise.resolve(past) : this.next(matches);
  }

  /** The next line that matches. */
  next(matches: (line: LogLine) => boolean): Promise<LogLine> {
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  #take(line: LogLine): void {
    this.lines.push(line);
    const ready = this.#waiting.filter(({ matches }) => matches(line));
    this.#waiting = this.#waiting.filter((waiting) => !ready.includes(waiting));
    for (const { resolve } of ready) resolve(line);
  }
}
