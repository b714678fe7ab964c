/** Network devices whose wire is a program (Linux's tun): what the kernel sends there is read, what is written arrives. */
import { constants, openSync } from 'node:fs';

/** An end of a device. It is gone once the process is. */
export type Tun = {
  /** The next IP packet that was sent, in memory of its own; null if there is none now. */
  receive(): Buffer | null;
  /** Lets a packet arrive. One that the kernel has no use for is lost, as on a wire. */
  send(packet: Buffer): void;
};

export type Tuns = {
  /** Makes a device in the network namespace of the process. @throws Error if this machine or user can't have one */
  open(name: string): Tun;
  /** Waits until any of the devices has a packet, and no longer than this. Nothing else happens in the process meanwhile. */
  wait(ms: number): void;
};

// From linux/if_tun.h, the same on all processors that Node.js is built for but POWER: IP packets without a header.
const TUNSETIFF = 0x4004_54ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** Of struct ifreq: a name of at most 15 bytes, then the flags. */
const NAME_BYTES = 16;
const IFREQ_BYTES = 40;
/** Of struct pollfd: descriptor, what is waited for, what happened. */
const POLLFD_BYTES = 8;
const POLLIN = 1;
const PACKET_BYTES_MAX = 65_536;

/** @throws Error on a Node.js that can't call the system's library */
export async function openTuns(): Promise<Tuns> {
  const { dlopen } = await import('node:ffi');
  const { functions } = dlopen(null, {
    ioctl: { return: 'int32', arguments: ['int32', 'uint64', 'buffer'] },
    read: { return: 'int64', arguments: ['int32', 'buffer', 'uint64'] },
    write: { return: 'int64', arguments: ['int32', 'buffer', 'uint64'] },
    ppoll: { return: 'int32', arguments: ['buffer', 'uint64', 'buffer', 'pointer'] },
  });
  const { ioctl, read, write, ppoll } = functions;
  const buffer = Buffer.alloc(PACKET_BYTES_MAX);
  const capacity = BigInt(buffer.length);
  const time = Buffer.alloc(16);
  let polled = Buffer.alloc(0);

  function open(name: string): Tun {
    const fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write(name, 0, NAME_BYTES - 1, 'latin1');
    request.writeUInt16LE(IFF_TUN | IFF_NO_PI, NAME_BYTES);
    if (ioctl(fd, BigInt(TUNSETIFF), request) !== 0) throw new Error(`the tun device ${name} can't be made`);
    const entry = Buffer.alloc(POLLFD_BYTES);
    entry.writeInt32LE(fd);
    entry.writeInt16LE(POLLIN, 4);
    polled = Buffer.concat([polled, entry]);
    return {
      receive() {
        const length = Number(read(fd, buffer, capacity));
        return length > 0 ? Buffer.from(buffer.subarray(0, length)) : null;
      },
      send: (packet) => void write(fd, packet, BigInt(packet.length)),
    };
  }

  function wait(ms: number): void {
    const whole = Math.floor(ms / 1000);
    time.writeBigInt64LE(BigInt(whole), 0);
    time.writeBigInt64LE(BigInt(Math.floor((ms - whole * 1000) * 1e6)), 8);
    ppoll(polled, BigInt(polled.length / POLLFD_BYTES), time, null);
  }

  return { open, wait };
}
