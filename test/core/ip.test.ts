import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../src/core/errors.ts';
import { isLoopback, isLoopbackHostname, isPrivate, networkOf, parseCidr } from '../../src/core/ip.ts';

const networks: [string, string][] = [
  ['203.0.113.77', '203.0.113.0/24'],
  ['127.0.0.1', '127.0.0.0/24'],
  ['127.0.9.1', '127.0.9.0/24'],
  ['255.255.255.255', '255.255.255.0/24'],
  ['::ffff:203.0.113.77', '203.0.113.0/24'],
  ['::FFFF:cb00:714d', '203.0.113.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
  ['2001:0DB8:0001:ffff::1', '2001:db8:1::/48'],
  ['[2001:db8:1::1]', '2001:db8:1::/48'],
  ['::1', '::/48'],
  ['fe80::1%eth0', 'fe80::/48'],
  ['', 'unknown'],
  ['localhost', 'unknown'],
  ['203.0.113', 'unknown'],
  ['0x7f.1', 'unknown'],
  ['203.0.113.256', 'unknown'],
  ['203.0.113.7:80', 'unknown'],
];

for (const [address, network] of networks) {
  test(`${JSON.stringify(address)} is in ${network}`, () => assert.equal(networkOf(address), network));
}

test('loopback addresses, and names that can only mean them', () => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1', '[::1]']) {
    assert.equal(isLoopback(address), true, address);
    assert.equal(isLoopbackHostname(address), true, address);
  }
  for (const name of ['localhost', 'LOCALHOST', 'localhost.', 'a.localhost']) {
    assert.equal(isLoopback(name), false, name);
    assert.equal(isLoopbackHostname(name), true, name);
  }
  for (const name of [
    '128.0.0.1',
    '::2',
    'notlocalhost',
    'localhost.example',
    '127.0.0.1.example',
    '',
    '0.0.0.0',
    '127.0.0.256',
  ]) {
    assert.equal(isLoopbackHostname(name), false, name);
  }
});

test('what is not public is private', () => {
  const closed = [
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
  ];
  const closed6 = [
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
  ];
  for (const address of [
    ...closed,
    ...closed6,
    '255.255.255.255',
    '192.0.2.1',
    '',
    'registry.example',
    '0x7f.1',
    '127.1',
  ]) {
    assert.equal(isPrivate(address), true, address);
  }
  for (const address of [
    '8.8.8.8',
    '2606:4700::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
    '172.32.0.1',
    '100.128.0.1',
  ]) {
    assert.equal(isPrivate(address), false, address);
  }
});

test('a block is its first address and the length of its prefix', () => {
  const blocks = { '10.0.0.0/8': 8, '203.0.113.7': 32, '0.0.0.0/0': 0, '2001:db8::/32': 32, '::1': 128 };
  for (const [text, bits] of Object.entries(blocks)) {
    const block = parseCidr(text);
    assert.deepEqual([block.base.toString(), block.bits], [text.split('/')[0], bits]);
  }
});

test('a block that is none is refused, with what was probably meant', () => {
  for (const text of [
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    'all',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '/8',
  ]) {
    assert.throws(() => parseCidr(text), UsageError, text);
  }
  assert.throws(() => parseCidr('172.17.0.1/16'), /did you mean 172\.17\.0\.0\/16/);
});

test('a network is a block, and the network of its own first address', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const network = networkOf(address);
      assert.equal(networkOf(parseCidr(network).base.toString()), network);
    }),
  );
});

test('an address with leading zeros means different things to different readers, so nothing', () => {
  for (const address of ['01.2.3.4', '1.2.3.04', '1.2.00.4']) assert.equal(networkOf(address), networkOf('no address'));
});

test('the short way for plain IPv4 gives what the long way gives', () => {
  const octet = fc.integer({ min: 0, max: 300 }).map(String);
  const text = fc.array(octet, { minLength: 3, maxLength: 5 }).map((octets) => octets.join('.'));
  fc.assert(
    fc.property(text, (address) => {
      // IPv4-mapped IPv6 takes the long way.
      assert.equal(networkOf(address), networkOf(`::ffff:${address}`));
    }),
    { examples: [['192.0.2.1'], ['255.255.255.255'], ['256.0.0.1'], ['1.2.3.256']] },
  );
});
