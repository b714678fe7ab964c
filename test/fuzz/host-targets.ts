/** What hosts and origins say to each other. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { type FeedEvent, FeedParser, formatFeedEvent } from '../../src/core/event-stream.ts';
import { checkHostUrl } from '../../src/core/host-url.ts';
import { readSignature, verifyRequest } from '../../src/core/http-signature.ts';
import { CONTROL_BODY_BYTES_MAX } from '../../src/core/limits.ts';
import { checkMarkAsHost, checkMarkAsOrigin, makeMark } from '../../src/core/mark.ts';
import {
  checkIdentity,
  formatApplication,
  formatApplyAnswer,
  formatHeartbeat,
  isNonce,
  parseApplication,
  parseApplyAnswer,
  parseHeartbeat,
} from '../../src/core/membership.ts';
import { formatVkey, hostIdOf } from '../../src/core/note.ts';
import { record } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { anyValue } from '../support/json-text.ts';
import { protocolExample } from '../support/protocol-examples.ts';
import { altered, anyOf, anyText, asUtf8, headerLines, headersIn, latin1, stable } from './inputs.ts';
import type { Target } from './target.ts';

const logName = 'open-registry/0123456789abcdef';
const { publicKey } = exampleSigner('host', 'example identity key');
const host = hostIdOf(publicKey);
const key = formatVkey(`host/${host}`, publicKey);
const now = 1_767_225_600_000;

const secret = createHash('sha256').update('a secret').digest();
const sha512 = '0a'.repeat(64);
const marked = { hostId: host, doorId: '01234567', expires: now + 60_000 };
const mark = makeMark({ ...marked, sha512 }, secret, secret);

const request = protocolExample('signed-request');
const [method = '', path = ''] = request.label.split(' ');
const [signedHeaders = '', body = ''] = request.text.split('\n\n');
const genuine = headersIn(utf8(signedHeaders));
const covered = ['open-registry-log', 'content-digest', 'signature-input', 'signature'];

const identity = protocolExample('identity');
const expected = { url: 'https://mirror.example', key, nonce: identity.label, logName };

/** A valid message of JSON with a member that no version knows yet. */
const extended = (text: string): fc.Arbitrary<Uint8Array> =>
  asUtf8(anyValue.map((value) => `${text.trimEnd().slice(0, -1)},"later":${value}}`));

const feedEvent: fc.Arbitrary<FeedEvent> = record({
  event: fc.constantFrom('hosts', 'learned'),
  id: fc.constantFrom(null, '7'),
  data: fc.constantFrom('1', 'a b\nc', ''),
});

/** The same events, in whatever pieces they come. */
function readFeed(bytes: Uint8Array): void {
  const whole = new FeedParser().push(bytes);
  const parser = new FeedParser();
  const third = Math.ceil(bytes.length / 3);
  const pieces = [bytes.subarray(0, third), bytes.subarray(third, 2 * third), bytes.subarray(2 * third)];
  assert.deepEqual(
    pieces.flatMap((piece) => parser.push(piece)),
    whole,
  );
}

/** Headers that verify are those that were signed, byte for byte. */
function readSigned(bytes: Uint8Array): void {
  const headers = headersIn(bytes);
  const signature = readSignature(headers);
  if (signature === null) return;
  verifyRequest({ method, url: path, headers, body: utf8(body) }, signature, { publicKey, logName, now });
  for (const name of covered) assert.equal(headers[name], genuine[name]);
}

/** Each side looks at its own MAC, and at what that is over. */
function readMarks(bytes: Uint8Array): void {
  const text = latin1(bytes);
  const read = [checkMarkAsOrigin(text, sha512, secret, now), checkMarkAsHost(text, sha512, host, secret, now)];
  for (const one of read) if (one !== null) assert.deepEqual(one, marked);
}

export const HOST_TARGETS: readonly Target[] = [
  {
    name: 'application',
    valid: extended(protocolExample('application').text),
    odd: altered(utf8(protocolExample('application').text)),
    read: stable(parseApplication, formatApplication),
    tokens: ['"key":', '"url":', '"private":true', '"operator":', '"\\u202e"'],
    bytesMax: CONTROL_BODY_BYTES_MAX,
  },
  {
    name: 'apply-answer',
    valid: extended(protocolExample('apply-answer').text),
    odd: altered(utf8(protocolExample('apply-answer').text)),
    read: stable(parseApplyAnswer, formatApplyAnswer),
    tokens: ['"status":"pending"', '"heartbeatSeconds":1e999', '"host":'],
    bytesMax: CONTROL_BODY_BYTES_MAX,
  },
  {
    name: 'heartbeat',
    valid: extended(body),
    odd: altered(utf8(body)),
    read: stable(parseHeartbeat, formatHeartbeat),
    tokens: ['"stored":null', '"stored":"x"', '"blobs":', '"failures":-0'],
    bytesMax: CONTROL_BODY_BYTES_MAX,
  },
  {
    name: 'identity',
    valid: extended(identity.text),
    odd: altered(utf8(identity.text)),
    read: (bytes) => checkIdentity(bytes, expected),
    tokens: ['"host":', '"signature":""', '"url":'],
    bytesMax: CONTROL_BODY_BYTES_MAX,
  },
  {
    name: 'host-url',
    valid: anyOf('https://mirror.example', 'https://mirror.example:8443', 'http://192.0.2.1:1'),
    read: (bytes) => {
      const url = anyText(bytes);
      checkHostUrl(url, { doorHostnames: ['registry.example'], allowPrivate: true });
      assert.equal(new URL(url).origin, url);
    },
    tokens: ['http://', '@', ':80', '[::1]', 'localhost', '0x7f.1', '%31'],
  },
  {
    name: 'nonce',
    valid: anyOf(identity.label),
    read: (bytes) => assert.equal(isNonce(anyText(bytes)), /^[\w-]{16,64}$/.test(latin1(bytes))),
  },
  { name: 'mark', valid: anyOf(mark), read: readMarks, tokens: ['AQ', '==', '-', '_'], bytesMax: 8_192 },
  {
    name: 'request-signature',
    valid: anyOf(headerLines(genuine)),
    read: readSigned,
    tokens: [
      'sig1=',
      'sig2=',
      ', ',
      ';created=1',
      ';created="1"',
      '"@query"',
      '("@method")',
      ':AAAA:',
      '\nsignature: ',
    ],
    bytesMax: 32_768,
  },
  {
    name: 'feed',
    valid: fc.array(feedEvent, { maxLength: 4 }).map((events) => Buffer.concat(events.map(formatFeedEvent))),
    read: readFeed,
    tokens: ['data: ', 'data:', 'event: ', 'id: ', ': ping\n\n', 'data\n', '\r\n\r\n'],
  },
];
