/**
 * pnpm's pnpm-lock.yaml, versions 5 to 9. An entry of `packages` holds the hash, and a URL only if it can't be derived
 * from the configured registry, name and version:
 *
 *     'a@1.0.0':                                    9.0; `/a@1.0.0` in 6.x, `/a/1.0.0` in 5.x
 *       resolution: {integrity: sha512-…, tarball: https://…}
 *
 * 5.x has a `registry:` beside `tarball:`, and names its host in the key, too (`host+port/a/1.0.0`). The key only tells
 * packages apart, so it stays. pnpm prints YAML in one narrow way; that is what is read here, by lines.
 */

import { MalformedError } from './errors.ts';
import {
  bytesAsText,
  type Edit,
  type Line,
  type Lockfile,
  type LockfileEntry,
  linesOf,
  PLAIN_ENTRY,
  sourceOf,
  strengthOf,
  type UrlSlot,
  unknownVersion,
} from './lockfile-entry.ts';
import { isValidVersion } from './package-name.ts';

/** `start` and `end`: the value, quotes not included. `cut`: what goes if the member goes. */
type Field = { readonly value: string; readonly start: number; readonly end: number; readonly cut: Edit };
type Fields = Map<string, Field>;
type Block = { readonly head: Line; readonly key: string; readonly fields: Fields };

const VERSIONS = /^(?:5(?:\.\d+)?|6\.\d+|9\.\d+)$/;
/** The first line may have a byte order mark before it. */
const VERSION_LINE = /^(?:\xEF\xBB\xBF)?lockfileVersion: ['"]?([^'"\r\n]*)/m;
/** One without quotes ends where white space begins that lasts to a comma, a brace or the end of the line. */
const SCALAR = /'((?:[^']|'')*)'|"((?:[^"\\]|\\.)*)"|([^\s'"{[,}](?:[^,}]*[^\s,}])?)|/y;
const MEMBER = /\s*([\w-]+):\s+/y;
/** Members of a resolution that say where the tarball is from, and what it is checked against. */
const KEPT = new Set(['tarball', 'registry', 'integrity', 'type']);

/** Whether the text is a pnpm-lock.yaml. */
export function isPnpm(text: string): boolean {
  return VERSION_LINE.test(text);
}

/** @throws MalformedError for an unknown version, or a resolution that is cut off */
export function readPnpmLockfile(bytes: Uint8Array): Lockfile {
  const text = bytesAsText(bytes);
  const version = VERSION_LINE.exec(text)?.[1]?.trim() ?? '';
  if (!VERSIONS.test(version)) throw unknownVersion('pnpm', version, '5, 6 and 9');
  const entries = [...blocksOf(text)].flatMap((block) => entriesOf(block));
  return { format: 'pnpm', version, entries };
}

/** The entries of every `packages` section: newer files may hold a document of pnpm's own before the project's. */
function* blocksOf(text: string): Generator<Block, void> {
  let block: Block | null = null;
  let nested = false;
  for (const { line, number } of packageLines(text)) {
    const key = keyOn(line);
    if (key === null) {
      nested = block !== null && readInto(block.fields, line, number, nested);
    } else {
      if (block !== null) yield block;
      block = { head: line, key, fields: new Map() };
      nested = false;
    }
  }
  if (block !== null) yield block;
}

function* packageLines(text: string): Generator<{ line: Line; number: number }, void> {
  let inPackages = false;
  let number = 0;
  for (const line of linesOf(text)) {
    number += 1;
    if (/^[^\s#]/.test(line.text)) inPackages = line.text === 'packages:';
    else if (inPackages) yield { line, number };
  }
}

/** The key of an entry; null for any other line. A very long key stands behind `? `, and its value behind `: `. */
function keyOn({ text }: Line): string | null {
  const found = /^ {2}(?:\? )?([^\s#:].*?)(?::(?: \{\})?)?$/.exec(text);
  return found === null ? null : unquoted(found[1] ?? '');
}

/** Takes what a line says of its entry; true while the lines of a `resolution:` follow. */
function readInto(fields: Fields, line: Line, number: number, nested: boolean): boolean {
  const found = /^(?: {4}| {2}: )(resolution|name|version):(?: (.*))?$/.exec(line.text);
  if (found === null) {
    if (nested && /^ {6}(?:tarball|registry|integrity|type): /.test(line.text)) blockMember(fields, line, number);
    return nested && /^ {6}/.test(line.text);
  }
  const [, key = '', rest = ''] = found;
  const at = line.text.length - rest.length;
  put(fields, key, scalarAt(line, at, { start: 0, end: 0, text: '' }), number);
  if (key === 'resolution' && rest.startsWith('{')) flowMembers(fields, line, at, number);
  return key === 'resolution' && rest === '';
}

/** `key: value` on a line of its own, which goes as a whole. */
function blockMember(fields: Fields, line: Line, number: number): void {
  const [whole = '', key = ''] = /^ {6}(\w+): /.exec(line.text) ?? [];
  const field = scalarAt(line, whole.length, { start: line.start, end: line.next, text: '' });
  if (field.value === '') throw cutOff(number);
  put(fields, key, field, number);
}

/** `{key: value, key: value}`; a member goes with a comma beside it. */
function flowMembers(fields: Fields, line: Line, open: number, number: number): void {
  if (!line.text.trimEnd().endsWith('}')) throw cutOff(number);
  let at = open + 1;
  while (line.text[at] !== '}') {
    MEMBER.lastIndex = at;
    const member = MEMBER.exec(line.text);
    // A list or mapping within: nothing that a tarball of a registry has.
    if (member === null) return;
    const field = scalarAt(line, at + member[0].length, { start: line.start + at, end: 0, text: '' });
    const after = afterScalar(line, field);
    const isFirst = at === open + 1;
    const end = isFirst && line.text[after] === ',' ? after + 2 : after;
    const cut = { start: line.start + (isFirst ? at : at - 1), end: line.start + end, text: '' };
    const key = member[1] ?? '';
    if (KEPT.has(key)) put(fields, key, { ...field, cut }, number);
    if (line.text[after] !== ',') return;
    at = after + 1;
  }
}

/** YAML has no key twice; if a reader let one pass, its edits would bring the other to light. */
function put(fields: Fields, key: string, field: Field, line: number): void {
  if (fields.has(key)) throw new MalformedError('lockfile', `an entry has ${key} twice`, { line });
  fields.set(key, field);
}

function scalarAt(line: Line, at: number, cut: Edit): Field {
  SCALAR.lastIndex = at;
  const [whole = '', single, double, plain] = SCALAR.exec(line.text) ?? [];
  const value = single ?? double ?? plain ?? '';
  const start = line.start + at + (plain === undefined && whole !== '' ? 1 : 0);
  return { value: single === undefined ? value : value.replaceAll("''", "'"), start, end: start + value.length, cut };
}

/** Where the comma or brace behind a value stands in its line. */
function afterScalar(line: Line, field: Field): number {
  const at = field.end - line.start;
  return at + (/^['"]?\s*/.exec(line.text.slice(at))?.[0].length ?? 0);
}

function entriesOf({ head, key, fields }: Block): LockfileEntry[] {
  const identity = identityOf(key);
  const type = fields.get('type')?.value;
  const tarball = fields.get('tarball');
  const at = tarball?.start ?? head.start;
  const integrity = strengthOf(fields.get('integrity')?.value ?? null);
  const name = fields.get('name')?.value ?? identity?.name ?? key;
  const entry = {
    ...PLAIN_ENTRY,
    name,
    at,
    integrity,
    version: fields.get('version')?.value ?? identity?.version ?? '',
  };
  if (type !== undefined) return [{ ...entry, source: type === 'git' ? 'git' : 'local' }];
  if (identity === null) return [{ ...entry, ...elsewhere(key, tarball?.value) }];
  // An old file may hold a path, which is below the configured registry.
  if (tarball === undefined || !/^https?:/i.test(tarball.value))
    return [{ ...entry, ...elsewhereIfFile(tarball?.value) }];
  return [{ ...entry, url: tarball.value, ...slotsOf(fields, tarball, integrity) }];
}

/** pnpm derives a URL only for entries that have a hash; without one the mapping would be empty. */
function slotsOf(
  fields: Fields,
  tarball: Field,
  integrity: LockfileEntry['integrity'],
): Pick<LockfileEntry, 'slot' | 'registrySlot' | 'omission'> {
  const registry = fields.get('registry');
  const cuts = [registry?.cut, tarball.cut].filter((cut) => cut !== undefined).sort((a, b) => a.start - b.start);
  // Two members in front of the hash share a comma. pnpm never prints them so.
  const isShared = cuts.some((cut, index) => cut.start < (cuts[index - 1]?.end ?? 0));
  const registrySlot = registry === undefined ? null : slotOf(registry);
  return { slot: slotOf(tarball), registrySlot, omission: integrity === 'none' || isShared ? null : cuts };
}

function slotOf({ start, end }: Field): UrlSlot {
  return { start, end, spelling: 'plain' };
}

function elsewhere(key: string, tarball: string | undefined): Pick<LockfileEntry, 'source' | 'url'> {
  const reference = tarball ?? key.replace(/^[^@]+@/, '');
  const source = sourceOf(reference) ?? 'remote';
  return { source, url: source === 'remote' ? reference : null };
}

function elsewhereIfFile(tarball: string | undefined): Partial<LockfileEntry> {
  return tarball?.startsWith('file:') ? { source: 'local' } : {};
}

/** Name and version in a key, less peers and host; null if the key is a path or URL. */
function identityOf(key: string): { name: string; version: string } | null {
  const found =
    /^(?:\/|[^/@][^/]*\/)?((?:@[^/@]+\/)?[^/@]+)@([^@/(_]+)(?:[(_].*)?$/.exec(key) ??
    /^[^/]*\/((?:@[^/@]+\/)?[^/@]+)\/([^/(_]+)(?:[(_/].*)?$/.exec(key);
  const [, name = '', version = ''] = found ?? [];
  return isValidVersion(version) ? { name, version } : null;
}

function unquoted(key: string): string {
  const [, single, double] = /^'(.*)'$|^"(.*)"$/.exec(key) ?? [];
  return single?.replaceAll("''", "'") ?? double ?? key;
}

function cutOff(line: number): MalformedError {
  return new MalformedError('lockfile', 'a resolution is cut off', { line });
}
