import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { ask } from './ask.ts';
import { loopbackNetwork } from './forwarder.ts';
import { madePackage } from './made-package.ts';
import { freePort, type Running, startCommand } from './processes.ts';
import { tempFolder } from './temp-folder.ts';
import { startUpstream } from './upstream.ts';

/** An origin as a process of its own, with an upstream that always has something new to learn. */
export interface LearningOrigin {
  readonly url: string;
  /** Of its log; another one after a start with another key. */
  readonly vkey: string;
  readonly data: string;
  /** Asks for so many new packages, several at once; stops early when the origin goes away. */
  learn(count: number): Promise<void>;
  /** Kills it, or has it drain; resolves when it is gone. */
  end(how: 'kill' | 'stop'): Promise<void>;
  /** Starts it anew on the same data and port. */
  start(): Promise<void>;
}

const AT_ONCE = 6;

export async function learningOrigin(t: Pick<TestContext, 'after'>): Promise<LearningOrigin> {
  const upstream = await startUpstream(t, { signed: false, real: false });
  const port = await freePort();
  const data = tempFolder();
  const flags = ['origin', '--data', data, '--port', `${port}`, '--upstream', upstream.url, '--allow-private'];
  const url = `http://localhost:${port}`;
  const started = async (): Promise<Running> => {
    const running = await startCommand(t, flags);
    await running.ready('origin');
    return running;
  };
  const vkeyOf = async (of: Running): Promise<string> => (await of.line(/^verifier key\s+(\S+)$/))[1] ?? '';
  let running = await started();
  let vkey = await vkeyOf(running);
  let made = 0;

  async function learnOne(): Promise<boolean> {
    made += 1;
    const name = `package-${made}`;
    upstream.packages.put(madePackage(name, { '1.0.0': {} }));
    const reply = await ask(`${url}/${name}`, { from: `${loopbackNetwork(made % 100)}` }).catch(() => null);
    if (reply) assert.equal(reply.status, 200, reply.body.toString());
    return reply !== null;
  }

  return {
    ...{ url, data },
    get vkey() {
      return vkey;
    },
    start: async () => {
      running = await started();
      vkey = await vkeyOf(running);
    },
    learn: async (count) => {
      let left = count;
      const worker = async () => {
        while (left > 0) {
          left -= 1;
          if (!(await learnOne())) left = 0;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    },
    end: async (how) => {
      if (how === 'kill') await running.kill();
      else assert.equal(await running.stop(), 0, running.output());
    },
  };
}
