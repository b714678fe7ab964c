import type { TestContext } from 'node:test';
import { cosign } from '../../src/core/cosignature.ts';
import type { LogKeys } from '../../src/core/cosigned.ts';
import { NotFoundError } from '../../src/core/errors.ts';
import { addSignatureLines, COSIGNATURE_TYPE, formatVkey, splitNote } from '../../src/core/note.ts';
import { type Cosigner, openCosigner } from '../../src/io/cosigner.ts';
import { createHttpServer } from '../../src/io/http-server.ts';
import { openCosignerKey } from '../../src/io/key-file.ts';
import { createMetrics } from '../../src/io/metrics.ts';
import { createWitness } from '../../src/mirror/cosigning/witness.ts';
import { LogLines } from './log-lines.ts';
import { newSigner } from './signed-log.ts';
import { tempFolder } from './temp-folder.ts';

export type TestWitness = {
  /** Submission and monitoring prefix. */
  readonly url: string;
  readonly vkey: string;
  readonly cosigner: Cosigner;
  readonly dir: string;
  /** Status and body of the answers so far, in the order in which they were given. */
  readonly answered: number[];
  close(): Promise<void>;
};

/** A cosigner's key in a test's own hands. */
export type CosignerKey = {
  readonly vkey: string;
  /** The note with a cosignature of this time (seconds since 1970; now by default) beneath it. */
  cosigned(note: string, time?: number): Promise<string>;
};

export function makeCosignerKey(name: string): CosignerKey {
  const signer = newSigner(name);
  return {
    vkey: formatVkey(name, signer.publicKey, COSIGNATURE_TYPE),
    cosigned: async (note, time = Math.floor(Date.now() / 1000)) =>
      addSignatureLines(note, [await cosign(splitNote(note).text, time, signer)]),
  };
}

/** A witness on a loopback port; it ends with the test at the latest. */
export async function startWitness(
  t: Pick<TestContext, 'after'>,
  log: LogKeys,
  options: { dir?: string; name?: string; now?: () => number; port?: number } = {},
): Promise<TestWitness> {
  const { dir = tempFolder(), name = 'witness/test', now = Date.now } = options;
  const cosigner = await openCosigner(dir, 'witness', await openCosignerKey(dir, 'witness.key', name), now);
  const witness = createWitness({ cosigner, log: () => log });
  const answered: number[] = [];
  const server = createHttpServer({
    ...{ role: 'witness', logger: new LogLines('witness').logger, metrics: createMetrics('witness'), trustProxy: [] },
    handler: async (request) => {
      const answer = await witness(request, request.url.split('/').slice(1));
      if (!answer) throw new NotFoundError('no such path');
      answered.push(answer.status);
      return answer;
    },
  });
  const port = await server.listen('127.0.0.1', options.port ?? 0);
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${port}`, vkey: cosigner.vkey, cosigner, dir, answered, close: () => server.close() };
}
