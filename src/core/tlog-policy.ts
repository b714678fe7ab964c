/**
 * Policies: which logs a reader believes, and which witnesses must have cosigned their checkpoints, as in C2SP
 * tlog-policy (https://c2sp.org/tlog-policy). A file of lines such as
 *
 *     log <vkey> [<url>]
 *     witness <name> <vkey> [<url>]
 *     group <name> all|any|<k> <member>...
 *     quorum <name>|none
 */

import { toHex } from './bytes.ts';
import { MalformedError, quote } from './errors.ts';
import { POLICY_LINES_MAX } from './limits.ts';
import { COSIGNATURE_TYPE, ED25519_TYPE, parseVkey, type SignatureType } from './note.ts';

/** A log whose checkpoints are believed; its vkey's name is its origin line. */
export type PolicyLog = { readonly vkey: string; readonly url: string | null };

/** A cosigner; the name is this file's own for it. */
export type PolicyWitness = { readonly name: string; readonly vkey: string; readonly url: string | null };

/** Has witnessed a checkpoint if at least `threshold` of its members have: witnesses and groups before it. */
export type PolicyGroup = { readonly name: string; readonly threshold: number; readonly members: readonly string[] };

/** A policy file. */
export type Policy = {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** In their order: none refers to a later one. */
  readonly groups: readonly PolicyGroup[];
  /** The witness or group that must have witnessed a checkpoint; null if none has to. */
  readonly quorum: string | null;
};

/** What was read so far, and the number of the line that is being read. */
type Draft = {
  readonly logs: PolicyLog[];
  readonly witnesses: PolicyWitness[];
  readonly groups: PolicyGroup[];
  /** Names of witnesses and groups. */
  readonly names: Set<string>;
  /** Those of them that are members of a group. */
  readonly members: Set<string>;
  /** Public keys, with their types. */
  readonly keys: Set<string>;
  quorum: string | null | undefined;
  line: number;
};

const FORMAT = 'tlog-policy';
const NONE = 'none';
// biome-ignore lint/suspicious/noControlCharactersInRegex: the format allows the tab alone
const FORBIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/**
 * Reads a policy file.
 * @throws MalformedError naming the line that is wrong
 */
export function parsePolicy(text: string): Policy {
  const lines = text.split('\n');
  if (lines.length > POLICY_LINES_MAX) {
    throw new MalformedError(FORMAT, `${lines.length} lines, at most ${POLICY_LINES_MAX} are allowed`);
  }
  const draft = emptyDraft();
  for (const line of lines) readLine(draft, line);
  const { logs, witnesses, groups, quorum } = draft;
  if (quorum !== undefined) return { logs, witnesses, groups, quorum };
  throw new MalformedError(FORMAT, 'a quorum line is missing; "quorum none" requires no cosignatures');
}

/**
 * Whether these cosigners are enough.
 * @param cosigners vkeys whose cosignatures of the checkpoint were verified
 */
export function satisfies(policy: Policy, cosigners: readonly string[]): boolean {
  if (policy.quorum === null) return true;
  const cosigned = policy.witnesses.filter(({ vkey }) => cosigners.includes(vkey));
  const witnessed = new Set(cosigned.map(({ name }) => name));
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => witnessed.has(member)).length >= threshold) witnessed.add(name);
  }
  return witnessed.has(policy.quorum);
}

function emptyDraft(): Draft {
  const lists = { logs: [], witnesses: [], groups: [] };
  return { ...lists, names: new Set(), members: new Set(), keys: new Set(), quorum: undefined, line: 0 };
}

function readLine(draft: Draft, text: string): void {
  draft.line++;
  if (FORBIDDEN.test(text)) refuse(draft, 'control characters other than tabs are not allowed');
  const [keyword, ...words] = text.split(/[ \t]+/).filter((word) => word !== '');
  if (keyword === undefined || keyword.startsWith('#')) return;
  if (keyword === 'log') readLog(draft, words);
  else if (keyword === 'witness') readWitness(draft, words);
  else if (keyword === 'group') readGroup(draft, words);
  else if (keyword === 'quorum') readQuorum(draft, words);
  else refuse(draft, `expected log, witness, group or quorum, found ${quote(keyword)}`);
}

function readLog(draft: Draft, [vkey, url, ...rest]: readonly string[]): void {
  if (vkey === undefined || rest.length > 0) refuse(draft, 'expected "log <vkey> [<url>]"');
  addKey(draft, vkey, ED25519_TYPE);
  draft.logs.push({ vkey, url: url ?? null });
}

function readWitness(draft: Draft, [name, vkey, url, ...rest]: readonly string[]): void {
  if (name === undefined || vkey === undefined || rest.length > 0) {
    refuse(draft, 'expected "witness <name> <vkey> [<url>]"');
  }
  addKey(draft, vkey, COSIGNATURE_TYPE);
  addName(draft, name);
  draft.witnesses.push({ name, vkey, url: url ?? null });
}

function readGroup(draft: Draft, [name, rule, ...members]: readonly string[]): void {
  if (name === undefined || rule === undefined || members.length === 0) {
    refuse(draft, 'expected "group <name> all|any|<k> <member>..."');
  }
  const threshold = thresholdOf(rule, members.length);
  if (threshold === null) {
    refuse(
      draft,
      `${quote(rule)} of ${members.length} members: expected all, any or a number from 1 to ${members.length}`,
    );
  }
  for (const member of members) addMember(draft, member);
  addName(draft, name);
  draft.groups.push({ name, threshold, members });
}

function readQuorum(draft: Draft, [name, ...rest]: readonly string[]): void {
  if (name === undefined || rest.length > 0) refuse(draft, 'expected "quorum <name>" or "quorum none"');
  if (draft.quorum !== undefined) refuse(draft, 'there is a quorum line already');
  if (name !== NONE) checkDefined(draft, name);
  draft.quorum = name === NONE ? null : name;
}

function thresholdOf(rule: string, members: number): number | null {
  if (rule === 'all') return members;
  if (rule === 'any') return 1;
  const isNumber = /^[1-9][0-9]{0,3}$/.test(rule);
  return isNumber && Number(rule) <= members ? Number(rule) : null;
}

/** The same key under two names would count twice. */
function addKey(draft: Draft, vkey: string, type: SignatureType): void {
  const key = `${type} ${toHex(readKey(draft, vkey, type))}`;
  if (draft.keys.has(key)) refuse(draft, `the public key of ${quote(vkey)} stands on an earlier line`);
  draft.keys.add(key);
}

function readKey(draft: Draft, vkey: string, type: SignatureType): Uint8Array {
  try {
    return parseVkey(vkey, type).publicKey;
  } catch (error) {
    if (error instanceof MalformedError) refuse(draft, error.reason);
    throw error;
  }
}

function addName(draft: Draft, name: string): void {
  if (name === NONE || draft.names.has(name)) refuse(draft, `the name ${quote(name)} is taken`);
  draft.names.add(name);
}

/** Nobody may be a member twice: each witness has one way to count. */
function addMember(draft: Draft, name: string): void {
  checkDefined(draft, name);
  if (draft.members.has(name)) refuse(draft, `${quote(name)} is a member of a group already`);
  draft.members.add(name);
}

function checkDefined(draft: Draft, name: string): void {
  if (!draft.names.has(name)) refuse(draft, `${quote(name)} is no witness or group of an earlier line`);
}

function refuse({ line }: Draft, reason: string): never {
  throw new MalformedError(FORMAT, reason, { line });
}
