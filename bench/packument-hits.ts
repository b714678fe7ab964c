/** Packuments of a large package, both forms, gzip accepted: our origin and Verdaccio in turns. */
import { gunzipSync } from 'node:zlib';
import { packumentRequest } from './client.ts';
import { type Load, runLoad, type Target } from './load.ts';
import { comparedRow, median, type Row } from './report.ts';
import type { Stage } from './stage.ts';

const NAME = 'express';
const FORMS = ['abbreviated', 'full'] as const;
const CONNECTIONS = 16;

export async function benchPackuments(stage: Stage): Promise<Row[]> {
  const { origin } = await stage.federation();
  const verdaccio = await stage.verdaccio();
  const rows: Row[] = [];
  for (const form of FORMS) {
    const targets = [origin, verdaccio].map(({ url }) => packumentRequest(url, NAME, form));
    const [ours = Number.NaN, theirs = Number.NaN] = await inTurns(stage, targets);
    const size = await plainSize(targets[0] as Target);
    rows.push(
      comparedRow({
        work: `${form} packument of ${NAME} (${Math.round(size / 1000)} kB)`,
        unit: 'requests/s',
        ours: { who: 'origin', value: ours },
        peer: { who: 'Verdaccio', value: theirs },
        goal: { atLeast: 100 },
      }),
    );
  }
  return rows;
}

async function inTurns(stage: Stage, targets: readonly Target[]): Promise<number[]> {
  const runs = targets.map(() => [] as Load[]);
  for (let round = 0; round < (stage.quick ? 1 : 3); round++) {
    for (const [index, target] of targets.entries()) {
      await plainSize(target);
      const options = { seconds: stage.quick ? 1 : 4, connections: CONNECTIONS };
      runs[index]?.push(await runLoad(stage.tools.wrk, stage.work, target, options));
    }
  }
  return runs.map((loads) => median(loads.map(({ requestsPerSecond }) => requestsPerSecond)));
}

/** Asks once, also so that whoever has to fetch has done so. Decoded bytes. */
async function plainSize({ url, headers }: Target): Promise<number> {
  const answer = await fetch(url, { headers });
  const body = Buffer.from(await answer.arrayBuffer());
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${body.subarray(0, 200)}`);
  const isPlain = body[0] === '{'.charCodeAt(0);
  return isPlain ? body.length : gunzipSync(body).length;
}
