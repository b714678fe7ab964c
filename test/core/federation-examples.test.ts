import assert from 'node:assert/strict';
import { createHash, createHmac, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { fromHex, text, utf8 } from '../../src/core/bytes.ts';
import { makeDoor } from '../../src/core/door.ts';
import { checkpointEvent, FeedParser, formatFeedEvent, formatFeedPing } from '../../src/core/event-stream.ts';
import { sha512Hex } from '../../src/core/hash.ts';
import { bounceUrl, formatHostsList, type HostsList, openHostsList } from '../../src/core/hosts-list.ts';
import { readSignature, signatureBase, signRequest, verifyRequest } from '../../src/core/http-signature.ts';
import { checkMarkAsHost, checkMarkAsOrigin, MARK_LIFE_MS, makeMark, markKey } from '../../src/core/mark.ts';
import { formatMeasured, parseMeasured } from '../../src/core/measured.ts';
import {
  checkIdentity,
  formatApplication,
  formatApplyAnswer,
  formatHeartbeat,
  formatIdentity,
  identityMessage,
  parseApplication,
  parseApplyAnswer,
  parseHeartbeat,
} from '../../src/core/membership.ts';
import { formatVkey, hostIdOf, signNote } from '../../src/core/note.ts';
import { exampleExchangeKey, exampleSigner, publicExchangeKey } from '../support/example-keys.ts';
import { protocolExample } from '../support/protocol-examples.ts';
import { protocolExchanges } from '../support/protocol-exchanges.ts';

const logName = 'open-registry/0123456789abcdef';
const hostsKey = exampleSigner(`${logName}/hosts`, 'example hosts key');
const anonymous = exampleSigner('host', 'example identity key');
const host = hostIdOf(anonymous.publicKey);
const key = formatVkey(`host/${host}`, anonymous.publicKey);
const sign = (message: Uint8Array): Uint8Array => anonymous.sign(message) as Uint8Array;
const nonce = 'AAECAwQFBgcICQoLDA0ODxAR';
const created = 1_767_225_600;

const shownList = (): HostsList =>
  openHostsList(protocolExample('hosts-list').text, formatVkey(hostsKey.name, hostsKey.publicKey), logName);

describe('the list of hosts', () => {
  it('is shown as it is signed', async () => {
    assert.equal(await signNote(formatHostsList(shownList()), [hostsKey]), protocolExample('hosts-list').text);
  });

  it('names doors by the hashes of their URLs', () => {
    for (const { id, url } of shownList().doors) assert.equal(makeDoor('self', url).id, id);
  });
});

describe('what is said of a measured tarball', () => {
  it('is shown of the tarball whose chunk list is shown', () => {
    const shown = protocolExchanges().find(({ target }) => target.startsWith('/-/federation/measured/'));
    const body = `${shown?.answer.body}\n`;
    const measured = parseMeasured(utf8(body), sha512Hex(Uint8Array.from({ length: 150_000 }, (_, at) => at % 251)));
    assert.equal(text(formatMeasured(measured)), body);
    const [list, root] = protocolExample('chunk-list').hashes;
    assert.deepEqual([measured.list, measured.chunks], [list, root]);
  });
});

describe('a signed request', () => {
  it('is shown, with the text under its signature', () => {
    const { label, text: shown } = protocolExample('signed-request');
    const [method = '', path = ''] = label.split(' ');
    const [head = '', body = ''] = shown.split('\n\n');
    const bytes = utf8(body);
    const headers = signRequest({ method, path, body: bytes, logName, keyId: host, created, nonce }, sign);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    assert.deepEqual(head.split('\n'), lines);
    assert.equal(text(formatHeartbeat(parseHeartbeat(bytes))), body);

    const signature = readSignature(headers);
    assert.ok(signature);
    const request = { method, url: path, headers, body: bytes };
    verifyRequest(request, signature, { publicKey: anonymous.publicKey, logName, now: created * 1000 });
    const covered = signature.components.map((name): [string, string] => {
      return [name, name === '@method' ? method : name === '@path' ? path : (headers[name] ?? '')];
    });
    assert.equal(`${signatureBase(covered, signature.params)}\n`, protocolExample('signature-base').text);
  });
});

describe('becoming a host', () => {
  it('is shown: an application, its answer and a proof', () => {
    const application = protocolExample('application').text;
    const read = parseApplication(utf8(application));
    assert.equal(text(formatApplication(read)), application);
    assert.equal(read.exchange, publicExchangeKey(hostExchange).toString('base64'));
    const answer = protocolExample('apply-answer').text;
    assert.equal(text(formatApplyAnswer(parseApplyAnswer(utf8(answer)))), answer);
    const { label, text: identity } = protocolExample('identity');
    const said = { host, url: 'https://mirror.example', key, nonce: label, logName };
    checkIdentity(utf8(identity), said);
    assert.equal(text(formatIdentity(said, sign)), identity);
    assert.equal(text(identityMessage(label, said.url, logName)), protocolExample('identity-text').text);
  });
});

describe('the feed', () => {
  it('is shown as it is sent and read', () => {
    const { serial } = shownList();
    const events = [
      { event: 'hosts', id: null, data: `${serial}` },
      checkpointEvent(10, protocolExample('checkpoint').text),
    ];
    const sent = Buffer.concat([formatFeedPing(), ...events.map(formatFeedEvent)]);
    assert.equal(sent.toString(), protocolExample('feed').text);
    assert.deepEqual(new FeedParser().push(sent), events);
  });
});

const originExchange = exampleExchangeKey('example exchange key');
const hostExchange = exampleExchangeKey('example host exchange key');

describe('a mark', () => {
  const shown = new Map(
    protocolExample('mark')
      .text.trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]),
  );
  const take = (name: string): string => shown.get(name) ?? '';
  const signedText = protocolExample('mark-text').text;
  const [, sha512 = '', hostId = '', doorId = '', expiry = ''] = signedText.split('\n');
  const secret = createHash('sha256').update('example mark secret').digest();
  const about = { hostId, doorId, expires: Number(expiry) * 1000 };

  it('rests on a key that both sides agree on', () => {
    const agree = (own: KeyObject, other: KeyObject): Uint8Array =>
      diffieHellman({ privateKey: own, publicKey: other });
    const shared = agree(hostExchange.privateKey, originExchange.publicKey);
    assert.deepEqual(agree(originExchange.privateKey, hostExchange.publicKey), shared);
    assert.equal(publicExchangeKey(originExchange).toString('base64'), take('origin exchange'));
    assert.equal(publicExchangeKey(hostExchange).toString('base64'), take('host exchange'));
    assert.equal(Buffer.from(shared).toString('hex'), take('shared secret'));
    assert.equal(Buffer.from(markKey(shared, logName)).toString('hex'), take('mark key'));
    assert.equal(
      Buffer.from(hkdfSync('sha256', shared, logName, 'open-registry mark/1', 32)).toString('hex'),
      take('mark key'),
    );
  });

  it('is shown as origin and host make and take it', () => {
    assert.equal(secret.toString('hex'), take('mark secret'));
    const [mark, hostKey] = [take('mark'), fromHex(take('mark key'))];
    assert.equal(makeMark({ ...about, sha512 }, secret, hostKey), mark);
    const now = created * 1000;
    assert.equal(about.expires, now + MARK_LIFE_MS);
    assert.deepEqual(checkMarkAsOrigin(mark, sha512, secret, now), about);
    assert.deepEqual(checkMarkAsHost(mark, sha512, host, hostKey, now), about);
  });

  it('is made of the bytes that the table lists, with MACs over the text that is shown', () => {
    const mac = (of: Uint8Array): string => createHmac('sha256', of).update(signedText).digest('hex').slice(0, 32);
    const seconds = Number(expiry).toString(16).padStart(8, '0');
    const bytes = `01${seconds}${hostId}${doorId}${mac(secret)}${mac(fromHex(take('mark key')))}`;
    assert.equal(Buffer.from(take('mark'), 'base64url').toString('hex'), bytes);
  });

  it('leads back to the door that it names', () => {
    const location = bounceUrl(shownList(), { doorId, sha512, mark: take('mark') });
    assert.equal(`${location}\n`, protocolExample('bounce').text);
  });
});
