/**
 * The requests of one connection, one after the other. A client may send the next before it has its answer (RFC 9112
 * section 9.3.2). Node.js then asks for all answers at once, and 64 KiB of requests would have a thousand files open and
 * their first pieces in memory, for a client that reads none of them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { REQUESTS_AHEAD_MAX } from '../core/limits.ts';

type Line = { last: ServerResponse; waiting: number };

/** Which answer each connection is at. */
export class Turns {
  readonly #lines = new WeakMap<Socket, Line>();

  /**
   * Calls `start` as soon as all earlier answers on this connection are through; never if the connection ends before.
   * Cuts the connection if too many wait.
   */
  take({ socket }: IncomingMessage, response: ServerResponse, start: () => void): void {
    const line = this.#lines.get(socket);
    if (line === undefined || line.last.closed) {
      this.#lines.set(socket, { last: response, waiting: 0 });
      start();
    } else if (line.waiting < REQUESTS_AHEAD_MAX) {
      this.#wait(line, response, start);
    } else {
      socket.destroy();
    }
  }

  #wait(line: Line, response: ServerResponse, start: () => void): void {
    const before = line.last;
    line.last = response;
    line.waiting += 1;
    before.once('close', () => {
      line.waiting -= 1;
      if (!response.destroyed) start();
    });
  }
}
