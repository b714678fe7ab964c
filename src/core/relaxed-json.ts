/**
 * A scanner of JSON as bun prints and reads it: with commas before closing brackets, and comments. It says where values
 * stand and builds nothing. Levels need no stack of calls.
 */

import { MalformedError } from './errors.ts';

/** One value of an array or object. `end` is the offset after it; a key is as it stands, less its quotes. */
export type Child = { readonly key: string | null; readonly start: number; readonly end: number };

type Token = { readonly start: number; readonly end: number };

const CLOSERS: Readonly<Record<string, string>> = { '{': '}', '[': ']' };
const SPACES = new Set([' ', '\t', '\n', '\r']);
const SCALAR_END = /[\s{}[\],:"]|$/g;

/**
 * The values directly within the array or object that starts at `at`.
 *
 * @param text one character per byte
 * @throws MalformedError if there is none, or it is not closed
 */
export function* childrenOf(text: string, at: number): Generator<Child, void> {
  const closer = CLOSERS[text[at] ?? ''];
  if (closer === undefined) throw malformed(at, 'expected an object or an array');
  const isObject = closer === '}';
  for (let token = tokenAt(text, at + 1); text[token.start] !== closer; token = tokenAt(text, token.end)) {
    const key = isObject ? stringIn(text, token) : null;
    if (isObject) token = tokenAt(text, punctuation(text, token.end, ':').end);
    const end = valueEnd(text, token);
    yield { key, start: token.start, end };
    token = tokenAt(text, end);
    if (text[token.start] === closer) return;
    punctuation(text, end, ',');
  }
}

/** Offset of the first byte from `at` on that is neither white space nor comment. */
export function skipIgnored(text: string, at: number): number {
  let from = at;
  for (let end = ignoredEnd(text, from); end > from; end = ignoredEnd(text, from)) from = end;
  return from;
}

function ignoredEnd(text: string, at: number): number {
  if (text.startsWith('//', at)) return endOf(text, '\n', at);
  if (text.startsWith('/*', at)) return endOf(text, '*/', at + 2);
  let end = at;
  while (SPACES.has(text[end] ?? '')) end += 1;
  return end;
}

function endOf(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found === -1 ? text.length : found + mark.length;
}

/** Offset after the value that starts with this token. */
function valueEnd(text: string, first: Token): number {
  const open: string[] = [];
  for (let token = first; ; token = tokenAt(text, token.end)) {
    const character = text[token.start] ?? '';
    const closer = CLOSERS[character];
    if (closer !== undefined) open.push(closer);
    else if ('}]'.includes(character) && open.pop() !== character)
      throw malformed(token.start, 'a bracket is out of place');
    else if (open.length === 0 && ',:'.includes(character)) throw malformed(token.start, 'expected a value');
    if (open.length === 0) return token.end;
  }
}

function tokenAt(text: string, at: number): Token {
  const start = skipIgnored(text, at);
  const character = text[start];
  if (character === undefined) throw malformed(start, 'it ends too early');
  if ('{}[],:'.includes(character)) return { start, end: start + 1 };
  if (character === '"') return { start, end: stringEnd(text, start) };
  SCALAR_END.lastIndex = start;
  const end = SCALAR_END.exec(text)?.index ?? text.length;
  if (end === start) throw malformed(start, 'expected a value');
  return { start, end };
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (character === '"') return at + 1;
    else if (character === '\n') break;
  }
  throw malformed(start, 'a string is not closed');
}

function stringIn(text: string, { start, end }: Token): string {
  if (text[start] !== '"') throw malformed(start, 'expected a name in quotes');
  return text.slice(start + 1, end - 1);
}

function punctuation(text: string, at: number, wanted: string): Token {
  const token = tokenAt(text, at);
  if (text[token.start] !== wanted) throw malformed(token.start, `expected "${wanted}"`);
  return token;
}

function malformed(offset: number, reason: string): MalformedError {
  return new MalformedError('lockfile', reason, { offset });
}
