import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { checkLog, reasonToSkipGo } from '../support/go-checker.ts';
import { learningOrigin } from '../support/learning-origin.ts';
import { freePort, runCommand, startCommand } from '../support/processes.ts';
import { described, type Outcome } from '../support/run.ts';
import {
  type Lie,
  LOG_NAME,
  type LogReply,
  type LogServer,
  newSigner,
  SignedLog,
  serveLog,
  vkeyOf,
} from '../support/signed-log.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const skip = reasonToSkipGo();
const base = (url: string): string => `${url}/-/federation`;

describe("the packages of Go's checksum database", { skip }, () => {
  for (const size of [1, 2, 255, 256, 257, 1_000, 66_000]) {
    test(`agree with a log of ${size} entries`, async (t) => {
      const log = new SignedLog().growTo(size);
      const server = await serveLog(t, log);
      const outcome = await checkLog(base(server.url), vkeyOf(log.keys.log), { inclusion: 300 });
      assert.match(passed(outcome), new RegExp(`size ${size},[^]*root of tiles`));
    });
  }

  for (const [what, lie, says] of lies()) {
    test(`notice ${what}`, async (t) => {
      const log = new SignedLog().growTo(1_000);
      const server = await serveLog(t, log);
      const old = join(tempFolder(), 'old');
      passed(await checkLog(base(server.url), vkeyOf(log.keys.log), { inclusion: 1, save: old }));
      await lie(server);
      const { code, stdout } = await checkLog(base(server.url), vkeyOf(log.keys.log), { old });
      assert.equal(code, 1, stdout);
      assert.match(stdout, says);
    });
  }
});

test("Go's checksum database agrees with an origin that grows, restarts and is killed", { skip }, async (t) => {
  const origin = await learningOrigin(t);
  const kept = join(tempFolder(), 'checkpoint');
  await origin.learn(3);
  passed(await checkLog(base(origin.url), origin.vkey, { save: kept }));
  for (const end of ['kill', 'stop', 'kill'] as const) {
    const learning = origin.learn(120);
    for (let round = 0; round < 3; round++) {
      passed(await checkLog(base(origin.url), origin.vkey, { old: kept, save: kept }));
    }
    await origin.end(end);
    await learning;
    await origin.start();
    passed(await checkLog(base(origin.url), origin.vkey, { old: kept, save: kept }));
  }
});

test("Go's checksum database agrees with each mirror, through kills as well", { skip }, async (t) => {
  const origin = await learningOrigin(t);
  const mirrors = await Promise.all([1, 2].map(() => startMortalMirror(t, origin.url)));
  const kept = join(tempFolder(), 'checkpoint');
  for (let round = 0; round < 3; round++) {
    const learning = origin.learn(60);
    for (const mirror of mirrors) await mirror.restart();
    await learning;
    passed(await checkLog(base(origin.url), origin.vkey, { save: kept }));
    for (const { url } of mirrors) {
      passed(await until(`${url} has what the origin had`, () => checkedUpTo(base(url), origin.vkey, kept), 30_000));
    }
  }
  await origin.end('kill');
  for (const { url } of mirrors) passed(await checkLog(base(url), origin.vkey, { old: kept }));
});

test("Go's checksum database agrees with a log that got another key", { skip }, async (t) => {
  const origin = await learningOrigin(t);
  const mirror = await startMortalMirror(t, origin.url);
  const kept = join(tempFolder(), 'checkpoint');
  await origin.learn(20);
  const oldkey = origin.vkey;
  passed(await checkLog(base(origin.url), oldkey, { save: kept }));
  await origin.end('stop');
  passed(await runCommand(['keys', 'rotate', '--data', origin.data]));
  await origin.start();
  assert.notEqual(origin.vkey, oldkey);
  await origin.learn(20);
  passed(await checkLog(base(origin.url), origin.vkey, { old: kept, oldkey, save: kept }));
  passed(await until('the mirror follows', () => checkedUpTo(base(mirror.url), origin.vkey, kept), 30_000));
});

/** Null while the log there is not yet as long as the checkpoint in the file. */
async function checkedUpTo(url: string, vkey: string, old: string): Promise<Outcome | null> {
  const outcome = await checkLog(url, vkey, { old });
  return /rolled back|no verifiable signatures|checkpoint: status (?:404|503)/.test(outcome.stdout) ? null : outcome;
}

async function startMortalMirror(t: TestContext, origin: string) {
  const port = await freePort();
  const flags = ['mirror', '--origin', origin, '--data', tempFolder(), '--port', `${port}`];
  const start = async () => {
    const running = await startCommand(t, flags);
    await running.ready('mirror');
    return running;
  };
  let running = await start();
  return {
    url: `http://localhost:${port}`,
    restart: async () => {
      await running.kill();
      running = await start();
    },
  };
}

type Told = readonly [what: string, lie: (server: LogServer) => unknown, says: RegExp];

function lies(): Told[] {
  return [
    ['another key', (server) => showNote(server, 1_000, newSigner(LOG_NAME)), /no verifiable signatures/],
    ['a wrong bit in a tile', (server) => server.lie(/^tile\/0\/001$/, flipped), /tile|root/],
    ['a wrong bit in a partial tile', (server) => server.lie(/^tile\/0\/003\.p/, flipped), /tile|root/],
    [
      'a wrong bit in an entry',
      (server) => server.lie(/^tile\/entries\/002$/, wrongEntry(server)),
      /root of the entries/,
    ],
    ['an entry that is left out', (server) => server.lie(/^tile\/entries\/003\.p/, withoutLast(server)), /cut short/],
    [
      'another history',
      (server) => Object.assign(server, { log: server.log.fork(500).growTo(1_200) }),
      /not consistent/,
    ],
    ['an older checkpoint', (server) => showNote(server, 900), /rolled back/],
  ];
}

async function showNote(server: LogServer, size: number, signer = server.log.keys.log): Promise<void> {
  server.shown = await server.log.note(size, signer);
}

const flipped: Lie = (honest) => {
  const body = Uint8Array.from(honest.body as Uint8Array);
  body[body.length - 1] = (body.at(-1) as number) ^ 1;
  return { ...honest, body };
};

/** Not in gzip, which has a checksum of its own. */
const plain = (body: Uint8Array): LogReply => ({ status: 200, headers: {}, body });

const wrongEntry = (server: LogServer): Lie => {
  const bundle = server.log.bundle({ index: 2, width: 256 });
  bundle[bundle.length - 1] = (bundle.at(-1) as number) ^ 1;
  return () => plain(bundle);
};

const withoutLast = (server: LogServer): Lie => {
  const bundle = server.log.bundle({ index: 3, width: (1_000 % 256) - 1 });
  return () => plain(bundle);
};

function passed(outcome: Outcome): string {
  assert.equal(outcome.code, 0, described(outcome));
  return outcome.stdout;
}
