/**
 * The signed list of hosts (docs/protocol.md, "List of hosts"): which doors an origin has and which hosts it admitted,
 * in a note by the origin's hosts key. A mirror takes from it where a client may be sent back to, and whose signed
 * requests it obeys; never from a request.
 */
import { utf8 } from './bytes.ts';
import { chooseDoor, type Door } from './door.ts';
import { MalformedError } from './errors.ts';
import {
  type Fields,
  linesOf,
  number,
  readFields,
  serverUrlField,
  showFields,
  textField,
  unexpected,
} from './fields.ts';
import { parseHostKey } from './host-keys.ts';
import { NOTE_BYTES_MAX } from './limits.ts';
import { openNote } from './note.ts';

/** A door, as the list names it. `id` is what marks carry. */
export type ListedDoor = { readonly id: string; readonly rule: string; readonly url: string };

/** An admitted host that is not private. */
export type ListedHost = { readonly id: string; readonly url: string; readonly key: string };

export type HostsList = {
  readonly log: string;
  /** Grows by one with every change; a reader never goes back. */
  readonly serial: number;
  /** Unix ms of the change. */
  readonly time: number;
  /** The first is the default door. */
  readonly doors: readonly ListedDoor[];
  /** In the order of their ids. */
  readonly hosts: readonly ListedHost[];
};

const FORMAT = 'open-registry hosts/1';
type Top = Pick<HostsList, 'log' | 'serial' | 'time'>;
const TOP: Fields<Top> = {
  log: textField('a log name', (value) => /^[!-~]{1,200}$/.test(value)),
  serial: number,
  time: number,
};

/**
 * The text to sign.
 * @throws MalformedError if the list could not be read again
 */
export function formatHostsList(list: HostsList): string {
  const { log, serial, time } = list;
  const doors = list.doors.map(({ id, rule, url }) => `door ${id} ${rule} ${url}\n`);
  const hosts = list.hosts.map(({ id, url, key }) => `host ${id} ${url} ${key}\n`);
  const text = `${FORMAT}\n${showFields(FORMAT, TOP, { log, serial, time })}${doors.join('')}${hosts.join('')}`;
  parseHostsList(text);
  return text;
}

/** @throws MalformedError for everything that {@link formatHostsList} would not print */
export function parseHostsList(text: string): HostsList {
  const [first, ...lines] = linesOf(FORMAT, utf8(text), NOTE_BYTES_MAX);
  if (first !== FORMAT) throw unexpected(FORMAT, FORMAT, first, 1);
  const top = readFields(FORMAT, TOP, lines.slice(0, TOP_LINES), 2);
  const rest = lines.slice(TOP_LINES);
  const doorCount = rest.findIndex((line) => !line.startsWith('door '));
  const doors = doorCount < 0 ? rest : rest.slice(0, doorCount);
  const hosts = rest.slice(doors.length);
  const list = {
    ...top,
    doors: doors.map((line, at) => parseDoor(line, at + FIRST_LINE)),
    hosts: hosts.map((line, at) => parseHost(line, at + FIRST_LINE + doors.length)),
  };
  checkOrder(list.hosts, FIRST_LINE + doors.length);
  return list;
}

/**
 * Opens a signed list.
 * @param hostsVkey the origin's hosts key
 * @throws MalformedError or SignatureError; also for the list of another log
 */
export function openHostsList(note: Uint8Array | string, hostsVkey: string, logName: string): HostsList {
  const list = parseHostsList(openNote(note, [hostsVkey]).text);
  if (list.log !== logName) throw new MalformedError(FORMAT, `it is about ${list.log}, not ${logName}`);
  return list;
}

/**
 * Where a mirror sends a client back to when it can't serve: the door that the mark names, or the default door if that
 * one is gone. Null if the list has no door at all.
 */
export function bounceUrl(list: HostsList, bounced: { doorId: string; sha512: string; mark: string }): string | null {
  const door = list.doors.find(({ id }) => id === bounced.doorId) ?? list.doors[0];
  return door ? `${door.url}/-/federation/blob/sha512/${bounced.sha512}?direct=${bounced.mark}` : null;
}

/**
 * The doors to list: the configured ones, then the loopback doors that exist without configuration, so that a client on
 * this machine is sent back to the name that it uses.
 * @param port the port that the origin is bound to
 */
export function listedDoors(configured: readonly Door[], port: number): Door[] {
  const implicit = ['localhost', '127.0.0.1', '[::1]'].map((name) => chooseDoor(`${name}:${port}`, configured, port));
  return [...new Map([...configured, ...implicit].map((door) => [door.id, door])).values()];
}

const TOP_LINES = Object.keys(TOP).length;
/** Number of the first door's line in the text. */
const FIRST_LINE = TOP_LINES + 2;

function parseDoor(line: string, number: number): ListedDoor {
  const [, id, rule, url] = /^door ([0-9a-f]{8}) ([a-z]{1,20}) (\S+)$/.exec(line) ?? [];
  if (!id || !rule || !url || serverUrlField.read(url) === undefined) {
    throw unexpected(FORMAT, '"door <id> <rule> <url>"', line, number);
  }
  return { id, rule, url };
}

function parseHost(line: string, number: number): ListedHost {
  const [, id, url, key] = /^host ([0-9a-f]{16}) (\S+) (\S+)$/.exec(line) ?? [];
  if (!id || !url || !key || serverUrlField.read(url) === undefined) {
    throw unexpected(FORMAT, '"host <id> <url> <vkey>"', line, number);
  }
  if (parseHostKey(key).hostId !== id)
    throw new MalformedError(FORMAT, `the key is not that of host ${id}`, { line: number });
  return { id, url, key };
}

/** One order and no host twice, so that a list of hosts has one form in bytes. */
function checkOrder(hosts: readonly ListedHost[], first: number): void {
  const at = hosts.findIndex((host, index) => index > 0 && (hosts[index - 1] as ListedHost).id >= host.id);
  if (at > 0) throw new MalformedError(FORMAT, 'hosts are not in the order of their ids', { line: first + at });
}
