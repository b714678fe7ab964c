/** The log: one JSON line per event, written by pino. Lines carry client networks, never addresses or credentials. */
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogLevel } from '../core/setting-values.ts';

export type { Logger } from 'pino';

/** Where lines go: standard error by default, a file that is appended to, or a function (tests). */
export type LoggerOptions = {
  readonly role: string;
  readonly level: LogLevel;
  readonly file?: string;
  readonly write?: (line: string) => void;
};

const WAITING_BYTES_MAX = 1024 * 1024;

/**
 * A logger whose every line says which role wrote it. Lines are written at once, not gathered: the last ones before a
 * crash are those that matter, and at `info` there are few.
 */
export function createLogger({ role, level, file, write }: LoggerOptions): Logger {
  const stream: DestinationStream = write === undefined ? patient(file ?? 2) : { write };
  const base = { role, pid: process.pid };
  return pino(
    { level, base, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
}

/**
 * A file or descriptor that may refuse lines for a while, as a full disk does: a server goes on without its log. Lines
 * wait until there is room, at most so many bytes of them; those that come later are lost.
 */
function patient(dest: string | number): DestinationStream {
  const stream = destination({ dest, mkdir: true, sync: true, maxLength: WAITING_BYTES_MAX });
  return stream.on('error', () => undefined);
}
