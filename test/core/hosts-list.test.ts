import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { makeDoor } from '../../src/core/door.ts';
import { FederationError, MalformedError, SignatureError } from '../../src/core/errors.ts';
import {
  bounceUrl,
  formatHostsList,
  type HostsList,
  listedDoors,
  openHostsList,
  parseHostsList,
} from '../../src/core/hosts-list.ts';
import { formatVkey, hostIdOf, signNote } from '../../src/core/note.ts';

const rawKey = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const host = (fill: number) => {
  const id = hostIdOf(rawKey(fill));
  return { id, url: `https://m${fill}.example`, key: formatVkey(`host/${id}`, rawKey(fill)) };
};
const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
const doors = [makeDoor('redirect', 'https://registry.example'), makeDoor('self', 'https://npm.registry.example')];
const hosts = [host(1), host(2), host(3)].sort(byId);
const list: HostsList = { log: 'open-registry/0011223344556677', serial: 7, time: 1_700_000_000_000, doors, hosts };

describe('the list of hosts as text', () => {
  it('has one line for each door and each host', () => {
    const [first] = hosts;
    const text = formatHostsList({ ...list, doors: doors.slice(0, 1), hosts: hosts.slice(0, 1) });
    assert.equal(
      text,
      'open-registry hosts/1\nlog open-registry/0011223344556677\nserial 7\ntime 1700000000000\n' +
        `door ${doors[0]?.id} redirect https://registry.example\nhost ${first?.id} ${first?.url} ${first?.key}\n`,
    );
  });

  it('reads what it wrote', () => {
    fc.assert(
      fc.property(fc.subarray(doors), fc.subarray(hosts), fc.nat(), fc.nat(), (some, members, serial, time) => {
        const one = { ...list, doors: some, hosts: members, serial, time };
        assert.deepEqual(parseHostsList(formatHostsList(one)), one);
      }),
    );
  });

  const text = formatHostsList(list);
  const lines = text.split('\n');
  const wrong: [string, string][] = [
    ['nothing', ''],
    ['another format', text.replace('hosts/1', 'hosts/2')],
    ['no last line feed', text.slice(0, -1)],
    ['a missing line', text.replace(/^time .*\n/m, '')],
    ['a number that is not canonical', text.replace('serial 7', 'serial 07')],
    ['two spaces', text.replace('serial 7', 'serial  7')],
    ['an unknown line', `${text}guest 1\n`],
    ['a door after a host', `${text}${lines[4]}\n`],
    ['a host twice', `${text}${lines.at(-2)}\n`],
    ['hosts in another order', formatHostsList({ ...list, hosts: [] }) + [...lines.slice(6, -1)].reverse().join('\n')],
    ['an id that is not the key’s', text.replace(/^host [0-9a-f]{4}/m, 'host 0000')],
    ['a URL with a path', text.replace('https://m2.example', 'https://m2.example/x')],
  ];
  for (const [what, changed] of wrong) {
    it(`refuses ${what}`, () => assert.throws(() => parseHostsList(changed), MalformedError));
  }

  it('throws nothing but named errors, and takes nothing that it would not write', () => {
    const mutated = fc.tuple(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), fc.nat(3)).map(([at, put, drop]) => {
      return text.slice(0, at) + put + text.slice(at + drop);
    });
    fc.assert(
      fc.property(mutated, (changed) => {
        try {
          assert.equal(formatHostsList(parseHostsList(changed)), changed);
        } catch (error) {
          assert.ok(error instanceof FederationError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the signed list', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  const name = `${list.log}/hosts`;
  const signer = {
    name,
    publicKey: raw,
    sign: (message: Uint8Array) => new Uint8Array(sign(null, message, privateKey)),
  };
  const vkey = formatVkey(name, raw);

  it('opens under the hosts key, for its log only', async () => {
    const note = await signNote(formatHostsList(list), [signer]);
    assert.deepEqual(openHostsList(note, vkey, list.log), list);
    assert.throws(() => openHostsList(note, vkey, 'open-registry/ffffffffffffffff'), MalformedError);
    assert.throws(() => openHostsList(note, formatVkey(name, rawKey(9)), list.log), SignatureError);
    assert.throws(() => openHostsList(note.replace('serial 7', 'serial 8'), vkey, list.log), SignatureError);
  });
});

describe('bounceUrl', () => {
  const asked = { sha512: 'ab'.repeat(64), mark: 'MARK' };
  const path = `/-/federation/blob/sha512/${asked.sha512}?direct=MARK`;

  it('leads to the door that the mark names', () => {
    assert.equal(bounceUrl(list, { ...asked, doorId: doors[1]?.id ?? '' }), `https://npm.registry.example${path}`);
  });

  it('leads to the default door where that one is gone, and nowhere without any', () => {
    assert.equal(bounceUrl(list, { ...asked, doorId: '00000000' }), `https://registry.example${path}`);
    assert.equal(bounceUrl({ ...list, doors: [] }, { ...asked, doorId: '00000000' }), null);
  });
});

describe('listedDoors', () => {
  it('puts the loopback doors behind the configured ones, each once', () => {
    const urls = listedDoors(doors, 4873).map(({ url }) => url);
    assert.deepEqual(urls, [
      'https://registry.example',
      'https://npm.registry.example',
      'http://localhost:4873',
      'http://127.0.0.1:4873',
      'http://[::1]:4873',
    ]);
    const own = [makeDoor('self', 'http://localhost:4873')];
    assert.deepEqual(
      listedDoors(own, 4873).map(({ rule }) => rule),
      ['self', 'redirect', 'redirect'],
    );
  });
});
