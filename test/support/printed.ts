import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How long a process may take to print an expected line before a test fails with what it printed instead. */
const patienceMs = 30_000;

/** What a child process prints, to be waited for. */
export class Printed {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #all: string[] = [];
  readonly #waiting = new Set<() => void>();
  /** Ended, and everything that it printed was read. */
  #closed = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (chunk) => this.#all.push(String(chunk)));
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#add(line));
    child.once('error', (error) => this.#all.push(error.message));
    child.once('close', () => {
      this.#closed = true;
      this.#notify();
    });
  }

  /** Standard output and standard error so far. */
  all(): string {
    return this.#all.join('');
  }

  /** The first `count` lines of standard output that match, past or future; rejects when the process ends without them. */
  until(pattern: RegExp, count: number): Promise<RegExpMatchArray[]> {
    return new Promise((resolve, reject) => {
      const settle = (why?: string) => {
        clearTimeout(limit);
        this.#waiting.delete(look);
        if (why === undefined) resolve(this.#matches(pattern).slice(0, count));
        else reject(new Error(`it printed fewer than ${count} lines like ${pattern}, and ${why}:\n${this.all()}`));
      };
      const look = () => {
        if (this.#matches(pattern).length >= count) settle();
        else if (this.#closed) settle(`ended with ${this.#child.exitCode ?? this.#child.signalCode}`);
      };
      const limit = setTimeout(() => settle(`took more than ${patienceMs} ms`), patienceMs);
      this.#waiting.add(look);
      look();
    });
  }

  #add(line: string): void {
    this.#lines.push(line);
    this.#all.push(`${line}\n`);
    this.#notify();
  }

  #notify(): void {
    for (const look of this.#waiting) look();
  }

  #matches(pattern: RegExp): RegExpMatchArray[] {
    return this.#lines.map((line) => line.match(pattern)).filter((match) => match !== null);
  }
}
