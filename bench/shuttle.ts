// A wire between two network namespaces as a program, where the kernel has no netem: it makes two devices in its own
// namespace and carries IP packets from one to the other. `node shuttle.ts <near> <far> <address>=<ms> ...` prints "ready"
// once the far one can be moved elsewhere. As with netem, what comes from an address at the near end is delayed, and what
// goes there isn't: a round trip takes that long.
import { type DelayLine, delayLine } from './delay-line.ts';
import { openTuns, type Tun } from './tun.ts';

/** So that neither side has to wait for the other's flood to end. */
const PACKETS_IN_TURN = 64;
/** Whoever started it may be gone without a word. */
const LOOK_MS = 500;
/** Of an IPv4 header. */
const SOURCE_OFFSET = 12;

const [nearName = '', farName = '', ...distances] = process.argv.slice(2);
const parent = process.ppid;
const lines = new Map(distances.map(lineOf));
const elsewhere = delayLine<Buffer>(0);
const tuns = await openTuns();
const [near, far] = [tuns.open(nearName), tuns.open(farName)];
process.stdout.write('ready\n');
while (process.ppid === parent) {
  tuns.wait(untilNext(performance.now()));
  for (const packet of sentOn(far)) near.send(packet);
  for (const packet of sentOn(near)) (lines.get(sourceOf(packet)) ?? elsewhere).put(packet, performance.now());
  for (const line of [...lines.values(), elsewhere])
    for (const packet of line.arrived(performance.now())) far.send(packet);
}

function lineOf(argument: string): [number, DelayLine<Buffer>] {
  const [address = '', ms] = argument.split('=');
  return [Buffer.from(address.split('.').map(Number)).readUInt32BE(), delayLine(Number(ms))];
}

function untilNext(now: number): number {
  const next = Math.min(...[...lines.values()].map((line) => line.nextAt()));
  return Math.min(Math.max(next - now, 0), LOOK_MS);
}

function* sentOn(tun: Tun): Generator<Buffer> {
  for (let count = 0; count < PACKETS_IN_TURN; count++) {
    const packet = tun.receive();
    if (packet === null) return;
    if (isIpv4(packet)) yield packet;
  }
}

/** Otherwise the kernel looks for IPv6 routers, of which there are none. */
function isIpv4(packet: Buffer): boolean {
  return (packet[0] ?? 0) >> 4 === 4 && packet.length >= SOURCE_OFFSET + 4;
}

function sourceOf(packet: Buffer): number {
  return packet.readUInt32BE(SOURCE_OFFSET);
}
