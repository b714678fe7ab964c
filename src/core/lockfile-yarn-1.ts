/**
 * yarn 1's yarn.lock. Each entry holds a URL with `#<sha1>`, and newer ones an `integrity`. yarn 1 asks exactly that URL,
 * whatever registry is configured; an entry without one loses its version, so no entry can do without.
 */

import { MalformedError } from './errors.ts';
import {
  bytesAsText,
  type Line,
  type Lockfile,
  type LockfileEntry,
  linesOf,
  PLAIN_ENTRY,
  sourceOf,
  strengthOf,
} from './lockfile-entry.ts';

type Block = { readonly head: Line; readonly fields: ReadonlyMap<string, Field>; readonly number: number };
/** `start`: offset of the value's first byte, behind a quote if there is one. */
type Field = { readonly value: string; readonly start: number };

const FIELD = /^ {2}(version|resolved|integrity) ("?)([^"]*)\2$/;
const HEADER = '# yarn lockfile v1';

/** Whether the text is a yarn.lock of yarn 1; newer ones say `__metadata`. */
export function isYarn1(text: string): boolean {
  return text.slice(0, 4096).includes(HEADER);
}

/** @throws MalformedError for a field that is cut off, or an entry without a version */
export function readYarn1Lockfile(bytes: Uint8Array): Lockfile {
  const entries = [...blocksOf(bytesAsText(bytes))].map(entryOf);
  return { format: 'yarn-1', version: '1', entries };
}

function* blocksOf(text: string): Generator<Block, void> {
  let block: { head: Line; fields: Map<string, Field>; number: number } | null = null;
  let number = 0;
  for (const line of linesOf(text)) {
    number += 1;
    if (/^[^\s#].*:$/.test(line.text)) {
      if (block !== null) yield block;
      block = { head: line, fields: new Map(), number };
    } else if (/^[^\s#\uFEFF\u00EF]/.test(line.text)) {
      throw new MalformedError('lockfile', 'an entry has no colon at its end', { line: number });
    } else if (/^ {2}(?:version|resolved|integrity)\b/.test(line.text)) {
      const [key, field] = fieldOf(line, number);
      if (block?.fields.has(key)) throw new MalformedError('lockfile', `an entry has ${key} twice`, { line: number });
      block?.fields.set(key, field);
    }
  }
  if (block !== null) yield block;
}

function fieldOf(line: Line, number: number): [string, Field] {
  const [whole, key = '', quote = '', value = ''] = FIELD.exec(line.text) ?? [];
  if (whole === undefined) throw new MalformedError('lockfile', 'a field is cut off', { line: number });
  return [key, { value, start: line.start + `  ${key} ${quote}`.length }];
}

function entryOf({ head, fields, number }: Block): LockfileEntry {
  const version = fields.get('version')?.value;
  if (version === undefined) throw new MalformedError('lockfile', 'an entry has no version', { line: number });
  const { name, range } = patternOf(head.text);
  const resolved = fields.get('resolved');
  const at = resolved?.start ?? head.start;
  const entry = { ...PLAIN_ENTRY, name, version, at, integrity: integrityOf(fields) };
  const asked = sourceOf(range.includes(':') ? range : 'http://') ?? (range.includes('://') ? 'remote' : null);
  const source = asked ?? sourceOf(resolved?.value ?? 'http://') ?? 'registry';
  const url = resolved?.value.split('#', 1)[0] ?? null;
  if (resolved === undefined || url === null) return { ...entry, source };
  if (source !== 'registry') return { ...entry, source, url: source === 'remote' ? url : null };
  const slot = { start: resolved.start, end: resolved.start + url.length, spelling: 'plain' as const };
  return { ...entry, source, url, slot };
}

/** The first of an entry's patterns, such as `"@s/p@^1.0.0", "@s/p@1.x":`; what `npm:` stands for in an alias. */
function patternOf(head: string): { name: string; range: string } {
  const first = head.startsWith('"') ? head.slice(1, head.indexOf('"', 1)) : (head.split(/[,:]/, 1)[0] ?? '');
  const { name, range } = split(first);
  return range.startsWith('npm:') ? split(range.slice('npm:'.length)) : { name, range };
}

function split(pattern: string): { name: string; range: string } {
  const at = pattern.indexOf('@', 1);
  return at === -1 ? { name: pattern, range: '' } : { name: pattern.slice(0, at), range: pattern.slice(at + 1) };
}

function integrityOf(fields: ReadonlyMap<string, Field>): LockfileEntry['integrity'] {
  const stated = strengthOf(fields.get('integrity')?.value ?? null);
  if (stated !== 'none') return stated;
  return /#[0-9a-f]{40}$/.test(fields.get('resolved')?.value ?? '') ? 'sha1' : 'none';
}
