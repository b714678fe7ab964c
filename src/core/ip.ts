/** Addresses as text, in every spelling that sockets and headers have; IPv4-mapped IPv6 always counts as the IPv4 in it. */

import ipaddr from 'ipaddr.js';
import { quote, UsageError } from './errors.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A block of addresses: the first of them, and how many leading bits they share. */
export type Cidr = { readonly base: Address; readonly bits: number };

/** What stands for the network of something that is no address, so that all such things share one bound. */
export const UNKNOWN_NETWORK = 'unknown';

/** Canonical dotted quads; the last octet is looked at apart. */
const PLAIN_IPV4 =
  /^((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){2}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))\.(0|[1-9]\d{0,2})$/;

const NETWORK_BITS = { ipv4: 24, ipv6: 48 };

/** The client network that we count and log instead of an address: /24 of IPv4, /48 of IPv6. */
export function networkOf(address: string): string {
  // Nearly every request comes by IPv4, and asks this.
  const octets = plainOctets(address);
  if (octets !== null) return `${octets[1]}.0/24`;
  const parsed = parseAddress(address);
  if (parsed === null) return UNKNOWN_NETWORK;
  const bits = NETWORK_BITS[parsed.kind()];
  return `${firstOf(parsed, bits).toString()}/${bits}`;
}

function plainOctets(address: string): RegExpExecArray | null {
  const octets = PLAIN_IPV4.exec(address);
  return octets !== null && Number(octets[2]) < 256 ? octets : null;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: string): boolean {
  // Every request for a tarball asks this.
  if (plainOctets(address) !== null) return address.startsWith('127.');
  return parseAddress(address)?.range() === 'loopback';
}

/**
 * Whether a URL's hostname can only mean the machine that looks it up: a loopback address (in brackets or not),
 * `localhost` or a name under it (RFC 6761 section 6.3).
 */
export function isLoopbackHostname(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  return name === 'localhost' || name.endsWith('.localhost') || isLoopback(unbracketed(name));
}

/**
 * Whether an address is anything but a public one: private, loopback, link-local, shared, multicast, reserved, or not an
 * address at all. For what strangers make us connect to. Of an address for NAT64 (RFC 6052) the IPv4 in it decides.
 */
export function isPrivate(address: string): boolean {
  const parsed = parseAddress(address);
  if (parsed === null) return true;
  const range = parsed.range();
  return range === 'rfc6052' ? isPrivate(parsed.toByteArray().slice(12).join('.')) : range !== 'unicast';
}

/**
 * Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
 *
 * @throws UsageError if it is none of them, or has bits set behind its prefix, which is mostly a slip
 */
export function parseCidr(text: string): Cidr {
  const [, address = '', length = ''] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const parsed = parseAddress(address);
  const bitsMax = parsed?.kind() === 'ipv4' ? 32 : 128;
  const bits = length === '' ? bitsMax : Number(length);
  if (parsed === null || bits > bitsMax) {
    throw new UsageError(`${quote(text)} is not a block of addresses; write one such as 10.0.0.0/8 or 2001:db8::/32`);
  }
  const base = firstOf(parsed, bits);
  if (base.toString() !== parsed.toString()) {
    throw new UsageError(`${quote(text)} has bits set behind its prefix; did you mean ${base}/${bits}?`);
  }
  return { base, bits };
}

/** Null for anything but an address; IPv4 in four decimal parts only, since `0177.1` means different things to different readers. */
function parseAddress(text: string): Address | null {
  const bare = unbracketed(text);
  // Told apart by form first: the library's own checks throw and catch inside, which is slow for a thousand host names.
  if (bare.includes(':')) return ipaddr.IPv6.isValid(bare) ? ipaddr.process(bare) : null;
  const fourParts = /^\d{1,3}(?:\.\d{1,3}){3}$/.test(bare);
  return fourParts && ipaddr.IPv4.isValidFourPartDecimal(bare) ? ipaddr.IPv4.parse(bare) : null;
}

function unbracketed(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
}

function firstOf(address: Address, bits: number): Address {
  const family = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
  return family.networkAddressFromCIDR(`${address}/${bits}`);
}
