/** Texts of settings into values. Each throws a UsageError that says what would make sense. */
import { CLIENTS } from './clients.ts';
import { quote, UsageError } from './errors.ts';
import { parseCidr } from './ip.ts';
import { parseVkey } from './note.ts';

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function readInteger(value: string, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`${quote(value)} is not a whole number from ${min} to ${max}`);
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** Bytes, from a number with a unit such as `500MB`, `1.5 TiB` or `20 GB`; without a unit they are bytes. */
export function readSize(value: string): number {
  const [, number = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(value) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toLowerCase() || 'b'] ?? Number.NaN));
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(`${quote(value)} is not a size such as 500MB, 20GB or 1.5TiB`);
}

export function readSwitch(value: string): boolean {
  if (/^(true|yes|1)$/i.test(value)) return true;
  if (/^(false|no|0)$/i.test(value)) return false;
  throw new UsageError(`${quote(value)} is neither true nor false`);
}

export function readLogLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === value);
  if (level === undefined) throw new UsageError(`${quote(value)} is not one of ${LOG_LEVELS.join(', ')}`);
  return level;
}

/** A registry may lie under a path; credentials in its URL would be sent and logged. */
export function readRegistryUrl(value: string): string {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${quote(value)} is not an http or https URL`);
  if (url.username || url.password || url.search || url.hash) {
    throw new UsageError('a registry URL has no credentials, query or fragment');
  }
  return url.href.replace(/\/+$/, '');
}

export function readCidr(value: string): string {
  parseCidr(value);
  return value;
}

export function readVkey(value: string): string {
  try {
    parseVkey(value);
  } catch (cause) {
    throw new UsageError(`${quote(value)} is not a verifier key; the origin prints its own at start`, { cause });
  }
  return value;
}

/** A package name in which `*` stands for any run of characters. */
export function readPattern(value: string): string {
  if (/^(@[a-z0-9-._~*]+\/)?[a-z0-9-._~*]+$/i.test(value)) return value;
  throw new UsageError(`${quote(value)} is not a package name or a pattern of them, such as @scope/*`);
}

export function readHostId(value: string): string {
  if (/^[0-9a-f]{16}$/.test(value)) return value;
  throw new UsageError(`${quote(value)} is not a host id; "hosts list" shows them, 16 hex digits each`);
}

export function readClientId(value: string): string {
  if (clientIds().includes(value)) return value;
  throw new UsageError(`${quote(value)} is not a known client; known are ${clientIds().join(', ')}`);
}

export function clientIds(): string[] {
  return CLIENTS.map(({ id }) => id);
}
