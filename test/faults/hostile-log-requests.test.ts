// Readers and witnesses' visitors that ask an origin or a mirror for what no log has, or say what nobody signed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { CHECKPOINT_HEADER, formatCheckpointHeader } from '../../src/core/checkpoint-header.ts';
import { ADD_CHECKPOINT_BYTES_MAX } from '../../src/core/limits.ts';
import { ask } from '../support/ask.ts';
import { lifetime } from '../support/lifetime.ts';
import { reached } from '../support/reached.ts';
import { SignedLog } from '../support/signed-log.ts';
import { assertSound } from '../support/stored.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const life = lifetime();
const FEDERATION = '/-/federation';
let origin: WholeOrigin;
let servers: readonly string[];
let note: string;
let size: number;

before(async () => {
  origin = await startWholeOrigin(life, { times: { probeIntervalMs: 3_600_000 } });
  const mirror = await startHost(life, origin);
  origin.put('plain');
  assert.equal((await origin.ask('/plain')).status, 200);
  note = String((await origin.ask(`${FEDERATION}/checkpoint`)).body);
  size = Number(note.split('\n')[1]);
  await reached(mirror.follower, size);
  servers = [origin.door, mirror.url];
});

describe('paths that no log has', () => {
  const tile = `${FEDERATION}/tile`;
  const targets = [
    ...['/0/000.p/0', '/0/000.p/256', '/0/000.p/257', '/0/000.p/01', '/0/000.p/-1', '/0/000.p/1e1', '/0/000.p/1/../2'],
    ...['/0/x000/000.p/1', '/0/x000/x000/000.p/1', '/0/X001/000', '/0/x001', '/0/x1/000', '/0/0000', '/0/00', '/0/٠٠٠'],
    ...['/0%2f000.p%2f1', '/0/000.p%2f1', '/0/000.p/1%00', '//0/000.p/1'],
    ...[
      '/../checkpoint',
      '/%2e%2e/checkpoint',
      '/0/../../keys',
      '/0/..%2f..%2fkeys',
      '/entries/../0/000.p/1',
      '/__proto__/000',
    ],
    ...[
      '/63/000.p/1',
      '/64/000.p/1',
      '/255/000.p/1',
      '/-0/000.p/1',
      '/0x0/000.p/1',
      '/1e0/000.p/1',
      '/entries/000.p/0',
    ],
    ...[`/0/${'x999/'.repeat(1_000)}999`, `/${'9'.repeat(400)}/000.p/1`, `/0/000.p/${'1'.repeat(400)}`],
  ];
  for (const target of targets) {
    it(`are not found: ${target.slice(0, 40)}`, async () => {
      for (const server of servers) {
        for (const method of ['GET', 'HEAD']) {
          const { status, headers } = await ask(server, {
            method,
            target: encodeURI(`${tile}${target}`).replaceAll('%25', '%'),
          });
          assert.ok(status === 404 || status === 400, `${method} ${server}: ${status}`);
          assert.doesNotMatch(String(headers['cache-control']), /immutable/, 'what is not there may come');
        }
      }
    });
  }

  it('are not those that are only spelled in another way', async () => {
    for (const server of servers) {
      for (const target of ['/%30/000.p/1', '/0/000%2ep/1', '/0/000.p/1/', '/0/000.p/1?x=1']) {
        const { status, body } = await ask(server, { target: `${tile}${target}` });
        assert.deepEqual([status, body.length], [200, 32], target);
      }
    }
  });
});

describe('headers that ask for more than there is', () => {
  it('parts of a tile: the whole tile', async () => {
    for (const server of servers) {
      for (const range of [
        'bytes=0-0',
        'bytes=-1',
        'bytes=0-0,1-1',
        `bytes=${'0-0,'.repeat(1_000)}0-0`,
        'bytes=9999-',
      ]) {
        const { status, body } = await ask(`${server}${FEDERATION}/tile/0/000.p/1`, { headers: { range } });
        assert.deepEqual([status, body.length], [200, 32], range);
      }
    }
  });

  it('HEAD: the headers of GET, and no bytes', async () => {
    for (const server of servers) {
      for (const path of ['tile/0/000.p/1', 'tile/entries/000.p/1', 'checkpoint']) {
        const [get, head] = [
          await ask(`${server}${FEDERATION}/${path}`),
          await ask(`${server}${FEDERATION}/${path}`, { method: 'HEAD' }),
        ];
        assert.deepEqual(
          [head.status, head.body.length, head.headers['content-length']],
          [200, 0, `${get.body.length}`],
        );
        assert.equal(head.headers.etag, get.headers.etag);
      }
    }
  });

  it('tags and codings by the thousand: an answer all the same', async () => {
    for (const server of servers) {
      const headers = { 'if-none-match': '"x", '.repeat(1_000), 'accept-encoding': 'gzip;q=0.1, '.repeat(500) };
      assert.equal((await ask(`${server}${FEDERATION}/tile/entries/000.p/1`, { headers })).status, 200);
    }
  });

  it('events after one that never was: the newest one', async () => {
    for (const id of ['9'.repeat(8_000), '-1', '../../x', 'NaN', '9007199254740993', '']) {
      const answer = await fetch(`${origin.door}${FEDERATION}/changes`, { headers: { 'last-event-id': id } });
      assert.equal(answer.status, 200);
      const reader = answer.body?.getReader();
      let told = '';
      while (!told.includes('event: checkpoint')) told += Buffer.from((await reader?.read())?.value ?? []).toString();
      await reader?.cancel();
    }
  });
});

describe('words that nobody signed', () => {
  it('in the header of gossip: are nothing', async () => {
    const forged = await new SignedLog().growTo(size + 10).note();
    const words = ['x', '%%%', 'A'.repeat(8_000), formatCheckpointHeader(forged), formatCheckpointHeader(`${note}x`)];
    for (const server of servers) {
      for (const word of words) {
        const answer = await ask(`${server}${FEDERATION}/checkpoint`, { headers: { [CHECKPOINT_HEADER]: word } });
        assert.equal(answer.status, 200);
      }
    }
    origin.put('later');
    assert.equal((await origin.ask('/later')).status, 200, 'the log is not halted');
    size = Number(String((await origin.ask(`${FEDERATION}/checkpoint`)).body).split('\n')[1]);
  });

  it('to a witness: are refused, whatever they are', async () => {
    const bodies: (string | Uint8Array)[] = [
      ...['', 'old', 'old 0', 'old 0\n\n', `old 0\n\n${note.slice(0, 20)}`, `old -1\n\n${note}`, `old 00\n\n${note}`],
      ...[`old 9007199254740993\n\n${note}`, `old 0\n${'AAAA\n'.repeat(64)}\n${note}`, `new 0\n\n${note}`, `\n${note}`],
      ...[
        `old 0\n\n${note.replace('\n', '\r\n')}`,
        `old 0\n\n${note}\0`,
        randomBytes(1_000),
        Buffer.from([0xff, 0xfe]),
      ],
      `old 0\n\n${await new SignedLog().growTo(5).note()}`,
    ];
    for (const server of servers) {
      for (const body of bodies) {
        const path = `${server}${FEDERATION}/witness/add-checkpoint`;
        const { status } = await ask(path, { method: 'POST', body });
        assert.ok([400, 403, 404, 405, 422].includes(status), `${String(body).slice(0, 40)}: ${status}`);
      }
    }
  });

  it('to a witness, without end: are refused before they are read', async () => {
    for (const server of servers) {
      const body = Buffer.alloc(ADD_CHECKPOINT_BYTES_MAX + 1, 'x');
      const { status } = await ask(`${server}${FEDERATION}/witness/add-checkpoint`, { method: 'POST', body });
      assert.ok([404, 405, 413].includes(status), `${status}`);
    }
  });
});

it('after all this everything stands', async () => {
  await assertSound(origin.data);
  for (const server of servers) assert.equal((await ask(`${server}/-/healthz`)).status, 200);
  assert.deepEqual(
    origin.log.lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  );
});
