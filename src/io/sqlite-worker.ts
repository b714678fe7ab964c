/**
 * The thread that writes a database, so that an fsync never holds up the thread that serves.
 * It is started and spoken to by io/sqlite-writer.ts only.
 */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { Reply, Request, WriterData } from './sqlite-writer.ts';

const { file, schema, statements, shrinks = false } = workerData as WriterData;
const port = parentPort as NonNullable<typeof parentPort>;

const db = new DatabaseSync(file, { timeout: 5_000 });
// Before anything is written: a file that has tables keeps its kind (sqlite.org/pragma.html#pragma_auto_vacuum).
if (shrinks) db.exec('PRAGMA auto_vacuum = INCREMENTAL;');
// FULL: a commit is on the disk when it returns, not only safe from a crash of the process (sqlite.org/pragma.html).
db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;');
db.exec(`BEGIN IMMEDIATE; ${schema}; COMMIT;`);
const prepared: StatementSync[] = statements.map((sql) => db.prepare(sql));
// A pragma works for as long as its rows are asked for; `run` asks for one.
const isPragma = statements.map((sql) => sql.startsWith('PRAGMA'));
let failure: unknown = null;

function apply({ steps, end }: Extract<Request, { steps: unknown }>): void {
  if (failure !== null) return;
  try {
    if (!db.isTransaction) db.exec('BEGIN IMMEDIATE');
    for (const [statement, ...values] of steps) {
      const one = prepared[statement] as StatementSync;
      if (isPragma[statement]) one.all();
      else one.run(...values);
    }
    if (end) db.exec(end === 'commit' ? 'COMMIT' : 'ROLLBACK');
  } catch (error) {
    failure = error;
    // A full disk may already have made SQLite roll back by itself.
    if (db.isTransaction) db.exec('ROLLBACK');
  }
}

function reply(message: Reply): void {
  port.postMessage(message);
}

port.on('message', (request: Request) => {
  if ('close' in request) {
    db.close();
    port.close();
    return;
  }
  apply(request);
  if (request.end === null) return;
  reply(failure === null ? { done: true } : { failed: describe(failure) });
  failure = null;
});

function describe(error: unknown): { message: string; errcode: number | null } {
  const { message = String(error), errcode = null } = error as { message?: string; errcode?: number };
  return { message, errcode };
}

reply({ done: true });
